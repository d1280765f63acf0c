# Functions that several image-scripts share. Sourced, never run; needs bash.
# Inputs:  GOLDBAKE_SCRIPTS, the uploaded folder image-scripts.
# Effect:  none by itself; runs apt without questions and in one language, so that its messages can be read by programs too.
# shellcheck shell=bash

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 NEEDRESTART_SUSPEND=1
umask 022

# say TEXT: one line of progress.
say() {
    printf '%s\n' "$1"
}

# fail WHAT [HINT]: end the script; the last lines of a script are what a person sees of a failed bake.
fail() {
    printf 'error: %s\n' "$1" >&2
    [[ $# -lt 2 ]] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# need NAME REGEX: the variable NAME is set and matches REGEX as a whole.
need() {
    local name=$1 pattern=$2
    [[ -n ${!name-} ]] || fail "$name is not set" "scripts are run by ./inv bake, which sets it"
    [[ ${!name} =~ ^($pattern)$ ]] || fail "$name is '${!name}', not of the form $pattern" "correct images.yaml or images.lock.yaml"
}

# The forms of what several scripts are given.
export version_form='[0-9]+(\.[0-9]+)+' sha256_form='[0-9a-f]{64}' url_form='https?://[^[:space:]]+' fingerprint_form='[0-9A-F]{40}'
export os_form='debian-1[23]|ubuntu-2[24]\.04'

# put PATH: install rootfs/PATH as /PATH with the same permissions, owned by root.
put() {
    local mode
    mode=$(stat -c %a "$GOLDBAKE_SCRIPTS/rootfs/$1")
    install -D -o root -g root -m "$((8#$mode & 8#111 ? 755 : 644))" "$GOLDBAKE_SCRIPTS/rootfs/$1" "/$1"
}

# put_tree PATH: install every file below rootfs/PATH, and leave nothing in /PATH that is not there.
put_tree() {
    local file
    rm -rf "/${1:?}"
    while IFS= read -r file; do
        put "$1/$file"
    done < <(cd "$GOLDBAKE_SCRIPTS/rootfs/$1" && find . -type f ! -path '*/__pycache__/*' -printf '%P\n' | sort)
}

# fetch URL FILE SHA256: download, and keep the file only when it is the pinned one.
fetch() {
    local url=$1 file=$2 wanted=$3 got
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 30 --proto '=http,https' --output "$file.part" "$url" ||
        fail "$url cannot be fetched" "is it reachable from the machine that bakes?"
    got=$(sha256sum "$file.part" | cut -d' ' -f1)
    if [[ $got != "$wanted" ]]; then
        rm -f "$file.part"
        fail "$url has SHA-256 $got, pinned is $wanted" "do not use it; if the publisher changed the file, review it and run ./inv pin"
    fi
    mv "$file.part" "$file"
}

# fetch_key URL FILE FINGERPRINT: download an OpenPGP key, and keep it only when it is the pinned one and nothing else is with it.
fetch_key() {
    local url=$1 file=$2 wanted=$3 got home
    install -d -m 755 "$(dirname "$file")"
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 30 --proto '=http,https' --output "$file.part" "$url" ||
        fail "$url cannot be fetched" "is it reachable from the machine that bakes?"
    home=$(mktemp -d)
    # A file that is no key makes gpg fail; the comparison below says so in our words.
    got=$(gpg --homedir "$home" --batch --show-keys --with-colons "$file.part" 2>/dev/null | awk -F: '$1 == "pub" { main = 1 } $1 == "fpr" && main { print $10; main = 0 }') || true
    rm -rf "$home"
    if [[ $got != "$wanted" ]]; then
        rm -f "$file.part"
        fail "$url holds the key ${got:-(none)}, pinned is $wanted" "do not use it; compare with the publisher's site and run ./inv pin"
    fi
    chmod 644 "$file.part"
    mv "$file.part" "$file"
}

# add_repository NAME LINE: one apt source in one file, so that it cannot be there twice with different keys.
add_repository() {
    printf '%s\n' "$2" >"/etc/apt/sources.list.d/$1.list"
    apt_update
}

# apt_update: refresh the lists; a repository that cannot be reached or is not signed right is an error, not a warning.
apt_update() {
    apt-get -q update --error-on=any || fail "apt cannot read its sources" "the lines above name the repository"
}

# apt_install PACKAGE[=VERSION]…: install exactly these, and nothing that they only recommend.
apt_install() {
    apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold --allow-downgrades --allow-change-held-packages install "$@" ||
        fail "apt cannot install $*" "the lines above say why"
}

# available PACKAGE: its versions in the repositories, newest first.
available() {
    apt-cache madison "$1" 2>/dev/null | awk '{ print $3 }' | awk '!seen[$0]++'
}

# exact PACKAGE VERSION: the repository's full version string for an upstream VERSION: 535.309.01 → 535.309.01-0+deb12u1.
exact() {
    local package=$1 wanted=$2 found
    found=$(available "$package" | grep -E "^([0-9]+:)?${wanted//./\\.}([^0-9.].*)?$" | head -n 1) || true
    [[ -n $found ]] ||
        fail "$package $wanted is not in the repositories; there is: $(available "$package" | head -n 5 | paste -sd' ')" \
            "write a version that is there into images.yaml"
    printf '%s' "$found"
}

# is_installed PACKAGE
is_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# installed_kernels: the releases of all kernels in /boot, oldest first.
installed_kernels() {
    find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' | sed 's/^vmlinuz-//' | sort -V
}

[[ $(id -u) == 0 ]] || fail "scripts run as root" "sudo"
[[ -d ${GOLDBAKE_SCRIPTS-} ]] || fail "GOLDBAKE_SCRIPTS is not a folder" "scripts are run by ./inv bake, which uploads it"
