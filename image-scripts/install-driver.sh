#!/usr/bin/env bash
# Purpose: the NVIDIA driver in exactly the wanted version, its module built for the image's kernel.
# Inputs:  GOLDBAKE_OS, GOLDBAKE_DRIVER_SOURCE, GOLDBAKE_DRIVER_VERSION, GOLDBAKE_DRIVER_MODULE, GOLDBAKE_DRIVER_VARIANT; for source nvidia:
#          GOLDBAKE_CUDA_KEYRING_URL, GOLDBAKE_CUDA_KEYRING_SHA256, GOLDBAKE_CUDA_REPOSITORY_URL.
# Effect:  driver packages, module, initramfs; no signing key is left.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_OS "$os_form"
need GOLDBAKE_DRIVER_SOURCE 'nvidia|debian'
need GOLDBAKE_DRIVER_VERSION "$version_form"
need GOLDBAKE_DRIVER_MODULE 'open|proprietary'
need GOLDBAKE_DRIVER_VARIANT 'compute'
version=$GOLDBAKE_DRIVER_VERSION
branch=${version%%.*}

# Pins every package of the driver, so that a dependency cannot come in a newer version than the module.
pin_source_packages() {
    printf 'Package: %s\nPin: version %s-*\nPin-Priority: 1001\n' \
        'src:nvidia-graphics-drivers src:nvidia-open-gpu-kernel-modules' "$version" >/etc/apt/preferences.d/goldbake-driver
}

add_cuda_repository() {
    need GOLDBAKE_CUDA_KEYRING_URL "$url_form"
    need GOLDBAKE_CUDA_KEYRING_SHA256 "$sha256_form"
    need GOLDBAKE_CUDA_REPOSITORY_URL "$url_form"
    local folder
    folder=$(mktemp -d)
    fetch "$GOLDBAKE_CUDA_KEYRING_URL" "$folder/cuda-keyring.deb" "$GOLDBAKE_CUDA_KEYRING_SHA256"
    dpkg --install --force-confold "$folder/cuda-keyring.deb"
    rm -rf "$folder"
    # The package brings the key and a source of NVIDIA's own host: one file of ours replaces it, so a mirror works and no source is there twice.
    rm -f /etc/apt/sources.list.d/cuda-*.list
    add_repository cuda "deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] $GOLDBAKE_CUDA_REPOSITORY_URL/ /"
}

# Fills `packages` and `pinning` from NVIDIA's repository. From 590 on the branch is no longer part of Ubuntu's package names.
choose_from_nvidia() {
    local open=
    case $GOLDBAKE_OS in
    ubuntu-*)
        [[ $GOLDBAKE_DRIVER_MODULE == proprietary ]] || open=-open
        if ((branch < 590)); then
            packages=("libnvidia-compute-$branch" "nvidia-dkms-$branch$open" "nvidia-utils-$branch" "nvidia-compute-utils-$branch")
        else
            packages=(libnvidia-compute "nvidia-dkms$open" nvidia-utils nvidia-compute-utils)
        fi
        ;;
    debian-*)
        [[ $GOLDBAKE_DRIVER_MODULE == proprietary ]] || open=open-
        packages=(nvidia-driver-cuda "nvidia-kernel-${open}dkms" nvidia-persistenced)
        ;;
    esac
    if ((branch < 580)); then packages+=("nvidia-fabricmanager-$branch"); else packages+=(nvidia-fabricmanager); fi
    pinning=nvidia-driver-pinning-$version
}

packages=() pinning=
if [[ $GOLDBAKE_DRIVER_SOURCE == nvidia ]]; then
    add_cuda_repository
    choose_from_nvidia
    if [[ -n $(available "$pinning") ]]; then
        apt_install "$pinning"
    else
        printf 'Package: *nvidia* libcuda* libnvcuvid* cuda-drivers*\nPin: version %s-*\nPin-Priority: 1001\n' "$version" >/etc/apt/preferences.d/goldbake-driver
        # The toolkit has versions of its own.
        printf '\nPackage: *nvidia-container* nvidia-driver-pinning*\nPin: version *\nPin-Priority: 500\n' >>/etc/apt/preferences.d/goldbake-driver
    fi
else
    [[ $GOLDBAKE_OS == debian-* ]] || fail "source debian is not for $GOLDBAKE_OS" "driver: {source: nvidia, …} in images.yaml"
    pin_source_packages
    packages=(libcuda1 libnvidia-ml1 libnvcuvid1 libnvidia-encode1 libnvidia-ptxjitcompiler1 nvidia-kernel-support nvidia-smi)
    if [[ $GOLDBAKE_DRIVER_MODULE == open ]]; then packages+=(nvidia-open-kernel-dkms); else packages+=(nvidia-kernel-dkms); fi
fi

wanted=()
for package in "${packages[@]}"; do
    wanted+=("$package=$(exact "$package" "$version")")
done
# Debian's persistenced and modprobe have versions of their own; they speak to any driver of the branch.
[[ $GOLDBAKE_DRIVER_SOURCE != debian ]] || wanted+=(nvidia-persistenced nvidia-modprobe)

# A kernel can only load modules of its own compiler: Ubuntu 22.04's cloud kernels are built with gcc-12, its default is gcc-11.
for kernel in $(installed_kernels); do
    compiler=$(sed -nE 's/^CONFIG_CC_VERSION_TEXT="[^ ]*(gcc-[0-9]+) .*/\1/p' "/boot/config-$kernel" 2>/dev/null) || true # no config: no wish
    [[ -z $compiler ]] || command -v "$compiler" >/dev/null || wanted+=("$compiler")
done

# Each package would rebuild the initramfs (6 s each): once at the end is enough. The trap sets it back on every path.
settings=/etc/initramfs-tools/update-initramfs.conf
trap 'sed -i "s/^update_initramfs=no$/update_initramfs=yes/" "$settings"' EXIT
sed -i 's/^update_initramfs=yes$/update_initramfs=no/' "$settings"
apt_install "${wanted[@]}"
sed -i 's/^update_initramfs=no$/update_initramfs=yes/' "$settings"

for kernel in $(installed_kernels); do
    dkms status -k "$kernel" | grep -qE "^nvidia[a-z-]*/$version, $kernel, [a-z0-9_]+: installed" || {
        say "dkms status: $(dkms status | paste -sd';')"
        tail -n 15 /var/lib/dkms/nvidia*/*/build/make.log 2>/dev/null || true # there is none when the build never began
        fail "DKMS did not install the module for kernel $kernel" "the lines above are the end of its log"
    }
done
for name in nvidia-smi nvidia-persistenced; do
    command -v "$name" >/dev/null || fail "the driver's packages brought no $name"
done

# DKMS signs with a key that it makes itself (dkms 3.0.10, sbin/dkms:938) and leaves lying: whoever had it could sign for all machines of this image.
rm -f /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.priv /var/lib/shim-signed/mok/MOK.der

# 65 MB of module are loaded when there is a GPU, by udev, and not at every boot (9.8 s on an emulated machine).
for file in /etc/modules-load.d/nvidia*.conf /usr/lib/modules-load.d/nvidia*.conf; do
    [[ ! -e $file && ! -L $file ]] || ln -sf /dev/null "/etc/modules-load.d/$(basename "$file")"
done
put etc/udev/rules.d/70-goldbake-nvidia.rules
update-initramfs -u -k all
