#!/usr/bin/env bash
# What a bake does, by hand and without goldbake: the measure for `./inv bench.bake`.
# Inputs: WORK (folder with sources.list) CODENAME DRIVER_VERSION DOCKER_VERSION TOOLCHAIN. Effect: WORK/disk.qcow2, nothing mounted.
set -euo pipefail

work=$1 codename=$2 driver=$3 docker=$4 toolchain=$5
root=$work/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io --skip=cleanup/apt/lists \
    --include=apt-utils,ca-certificates,curl,dbus,e2fsprogs,gnupg,initramfs-tools,iproute2,kmod,less,nftables,openssh-server,pciutils,procps,python3,python3-apt,sudo,syslinux-common,systemd,systemd-boot-efi,systemd-resolved,systemd-sysv,systemd-timesyncd,udev,zstd,linux-image-cloud-amd64,linux-headers-cloud-amd64 \
    "$codename" "$root" "$work/sources.list"

printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# A container for the mounts that package scripts expect; --pipe keeps its output here.
inside() {
    systemd-nspawn --quiet --pipe --register=no --keep-unit --directory="$root" --link-journal=no --resolv-conf=replace-host --timezone=off \
        --setenv=DEBIAN_FRONTEND=noninteractive -- "$@"
}
inside apt-get install -qq -y --no-install-recommends "nvidia-kernel-dkms=$driver-*" "nvidia-smi=$driver-*" "nvidia-persistenced" \
    "libcuda1=$driver-*" "nvidia-kernel-support=$driver-*"
inside apt-get install -qq -y --no-install-recommends "docker.io=$docker*"
programs=$(find "$toolchain/" -name nvidia-ctk -type f -printf '%h\n' | head -n 1)
install -m 755 "$programs"/nvidia-* "$root/usr/bin/"
inside apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/var/lib/dkms/mok.key" "$root/usr/sbin/policy-rc.d"

raw=$work/disk.raw
truncate -s 16G "$raw"
printf 'label: gpt\nstart=2048, size=262144, type=U\nstart=264192, type=L, attrs="LegacyBIOSBootable"\n' | sfdisk --quiet "$raw"
mke2fs -q -F -t ext4 -O '^64bit,^metadata_csum' -E offset=$((129 * 1024 * 1024)),lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$raw" 16254M
qemu-img convert -O qcow2 -c -o compression_type=zstd -W -m 8 "$raw" "$work/disk.qcow2"
