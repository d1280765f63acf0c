# Purpose: print every fact about an image that can be read from its files, in named sections.
# Inputs:  agent_root, agent_user, units (set in the lines before this text); root rights; an image as `/` (booted, or entered with chroot).
# Effect:  writes only below a fresh temporary folder, which is removed at the end.
# Each section ends with the exit status of what printed it: facts.py decides what that means.
# shellcheck disable=SC2154
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
work=$(mktemp -d /var/tmp/goldbake-check.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT

section() { # section NAME COMMAND…
  printf '\n@@begin %s\n' "$1"
  "$@" 2>&1
  printf '\n@@end %s %s\n' "$1" "$?"
}

installed_kernels() {
  for file in /boot/vmlinuz-*; do
    [ ! -e "$file" ] || printf '%s\n' "${file#/boot/vmlinuz-}"
  done
}

# Pristine state first: nothing below may have touched it yet.
temporary_files() { find /tmp /var/tmp -mindepth 1 -path "$work" -prune -o -mindepth 1 -print | sort; }
machine_ids() {
  for file in /etc/machine-id /var/lib/dbus/machine-id; do
    [ ! -s "$file" ] || printf '%s %s\n' "$file" "$(cat "$file")"
  done
}
host_keys() { find /etc/ssh -name 'ssh_host_*_key' | sort; }
authorized_keys() { find /root /home /etc/ssh -name 'authorized_keys*' -type f -size +0 | sort; }
signing_keys() { find /var/lib/dkms /var/lib/shim-signed \( -name '*.key' -o -name '*.priv' -o -name '*.pem' \) 2>/dev/null | sort; }
private_keys() {
  grep -rlsE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' /etc /root /home /var/lib /usr/share/goldbake \
    --exclude='ssh_host_*_key' --exclude-dir=dkms --exclude-dir=shim-signed | sort
}
cloud_init_state() { find /var/lib/cloud -type f -o -type l 2>/dev/null | sort; }
packer_leftovers() { find /root /home /opt /etc /var/lib /run -xdev \( -iname 'packer*' -o -name 'bake-sshd*' -o -name 'bake.target' \) 2>/dev/null | sort; getent passwd packer; }
histories() { find /root /home -name '.*_history' -size +0 | sort; }
logs() { find /var/log -type f -size +0 | sort; }
apt_downloads() { find /var/lib/apt/lists /var/cache/apt -type f ! -name lock -size +0 | sort; }
random_seed() { find /var/lib/systemd -maxdepth 1 -name 'random-seed' | sort; }
apt_sources() { grep -hsE '^(deb|URIs:)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; apt-config dump | grep -E '^Acquire::[a-z]+::Proxy'; }
passwords() { awk -F: '$2 !~ /^[!*]/ { print $1 }' /etc/shadow; }

agent_root_owner() { stat -c '%U %a' "$agent_root"; }
agent_state() {
  ( cd "$agent_root" && find . -maxdepth 1 \( -name .agent -o -name '.credentials*' -o -name .service -o -name .env -o -name .path \
    -o -name '.proxy*' -o -name .certificates -o -name runsvc.sh -o -name svc.sh \) | sort )
}
agent_work() { find "$agent_root/_diag" "$agent_root/_work" -mindepth 1 2>/dev/null | sort; }
agent_units() { find /etc/systemd /usr/lib/systemd -name 'vsts.agent.*' | sort; }
agent_switches() {
  grep -rlsE '(AGENT_ALLOW_RUNASROOT|VSS_ALLOW_UNSAFE_BASICAUTH)=' /etc /root /home /usr/lib/systemd /usr/lib/goldbake /usr/local "$agent_root/.env" | sort
}
agent_files() { ls "$agent_root/config.sh" "$agent_root/run.sh" "$agent_root/bin/Agent.Listener"; }
agent_libraries() {
  # ldd's exit status says only whether a file is dynamic; the lines say what is missing.
  find "$agent_root/bin" -maxdepth 1 \( -name '*.so' -o -name Agent.Listener \) | while read -r file; do
    ldd "$file" 2>/dev/null | sed -n "s|^[[:space:]]*\(.*\) => not found.*|$file \1|p"
  done
}
agent_version() { # the agent writes a log even for this: leave none in an agent root that had none
  made=; [ -e "$agent_root/_diag" ] || made=1
  ( cd "$agent_root" && timeout 120 bin/Agent.Listener --version )
  code=$?
  [ -z "$made" ] || rm -rf "$agent_root/_diag"
  return "$code"
}
users() { id -u "$agent_user" && id -Gn "$agent_user"; }

module_trees() { ls /lib/modules; }
headers() { for kernel in $(installed_kernels); do [ ! -d "/lib/modules/$kernel/build/" ] || printf '%s\n' "$kernel"; done; }
initramfs() { # kernel, number of files, number of nouveau modules
  for kernel in $(installed_kernels); do
    lsinitramfs "/boot/initrd.img-$kernel" > "$work/files" 2>/dev/null || : > "$work/files"
    printf '%s %s %s\n' "$kernel" "$(wc -l < "$work/files")" "$(grep -cE '/nouveau\.ko' "$work/files")"
  done
}
dkms_status() { dkms status; }
modules() { # `module KERNEL PART`, then modinfo's lines; Debian calls the module nvidia-current
  for kernel in $(installed_kernels); do
    for part in "" -modeset -drm -uvm -peermem; do
      for base in nvidia-current nvidia nvidia-current-open; do
        if modinfo -k "$kernel" "$base$part" > "$work/modinfo" 2>/dev/null && grep -q '^vermagic:' "$work/modinfo"; then
          printf 'module %s nvidia%s\n' "$kernel" "$part"
          grep -E '^(version|vermagic|license|signer):' "$work/modinfo"
          break
        fi
      done
    done
  done
}
modprobe_blacklist() { modprobe --showconfig 2>/dev/null | awk '$1 == "blacklist" { print $2 }' | sort -u; }
loaded_at_boot() { # a list in /usr/lib is masked by one of its name in /etc
  for file in /etc/modules /etc/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf; do
    [ "${file#/usr}" = "$file" ] || [ ! -e "/etc/modules-load.d/${file##*/}" ] || continue
    grep -hsE '^[[:space:]]*nvidia' "$file"
  done
}
libraries() { ldconfig -p | awk '{ print $1 }'; }
programs() { for name in nvidia-smi nvidia-ctk nvidia-container-runtime nvidia-container-runtime-hook nvidia-cdi-hook docker; do command -v "$name"; done; }
toolkit_versions() {
  for name in nvidia-ctk nvidia-container-runtime nvidia-container-runtime-hook nvidia-cdi-hook; do
    ! command -v "$name" > /dev/null || printf '%s %s\n' "$name" "$("$name" --version 2>/dev/null | sed -n '1s/.*version //p')"
  done
}
toolkit_config() { cat /etc/nvidia-container-runtime/config.toml; }
baked_cdi() { find /etc/cdi /var/run/cdi -name '*nvidia*' 2>/dev/null | sort; }
docker_config() { cat /etc/docker/daemon.json; }

packages() { dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}|${source:Package}\n'; }
holds() { apt-mark showhold; }
upgrade() { # what a full upgrade would do if there were a newer version of every held package
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/repository"
  dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Architecture}\n' | awk -F'|' -v sum="$(printf '%064d' 0)" '$1 ~ /^hi/ {
    printf "Package: %s\nArchitecture: %s\nVersion: 9999:1\nMaintainer: nobody\nFilename: ./none.deb\nSize: 1\nSHA256: %s\nDescription: newer\n\n", $2, $3, sum
  }' > "$work/repository/Packages"
  printf 'deb [trusted=yes] file:%s/repository ./\n' "$work" > "$work/apt/sources"
  set -- -o "Dir::Etc::SourceList=$work/apt/sources" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/apt/lists" \
    -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=root
  apt-get "$@" -qq update && apt-get "$@" -s full-upgrade
}
periodic() { apt-config shell value APT::Periodic::Unattended-Upgrade; }
unit_states() { for unit in $units; do printf '%s %s\n' "$unit" "$(systemctl is-enabled "$unit" 2>/dev/null)"; done; }

firstboot_state() { find /var/lib/goldbake /run/goldbake -mindepth 1 2>/dev/null | sort; }
user_data() { find /var/lib/waagent \( -name ovf-env.xml -o -name CustomData \) 2>/dev/null | sort; }
firstboot_programs() { # what is not there, or cannot be run
  for file in /usr/lib/goldbake/goldbake-firstboot /usr/lib/goldbake/goldbake-agent /usr/lib/goldbake/goldbake-agent-event \
    /usr/lib/goldbake/goldbake-report /usr/lib/goldbake/goldbake-ttl /usr/lib/goldbake/has-nvidia-device /usr/bin/goldbake-status; do
    [ -x "$file" ] || printf '%s\n' "$file"
  done
}
firstboot_compiled() { # modules without a compiled form, or with that of another text
  python3 -IS - << 'END'
import glob, importlib.util
for path in sorted(glob.glob("/usr/lib/goldbake/firstboot/*.py")):
    with open(path, "rb") as file:
        wanted = importlib.util.source_hash(file.read())
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            head = file.read(16)
    except OSError:
        head = b""
    if head[:8] != importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") or head[8:] != wanted:
        print(path)
END
}
firstboot_imports() {
  python3 -ISB -c 'import sys; sys.path.insert(0, "/usr/lib/goldbake"); import firstboot.main, firstboot.clouds, firstboot.report, firstboot.show, firstboot.tunnel'
}

for name in temporary_files machine_ids host_keys authorized_keys signing_keys private_keys cloud_init_state packer_leftovers histories logs firstboot_state user_data \
  apt_downloads random_seed apt_sources passwords agent_root_owner agent_state agent_work agent_units agent_switches agent_files \
  agent_libraries agent_version users installed_kernels module_trees headers initramfs dkms_status modules modprobe_blacklist \
  loaded_at_boot libraries programs toolkit_versions toolkit_config baked_cdi docker_config packages holds upgrade periodic unit_states \
  firstboot_programs firstboot_compiled firstboot_imports; do
  section "$name"
done
