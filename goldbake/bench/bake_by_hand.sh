#!/usr/bin/env bash
# What a bake does, by hand and without goldbake: the measure for `./inv bench.bake`.
# Inputs: WORK (folder with sources.list) CODENAME PACKAGES DRIVER_VERSION DOCKER_VERSION TOOLKIT_FOLDER. Effect: WORK/disk.qcow2, nothing mounted.
set -euo pipefail

work=$1 codename=$2 packages=$3 driver=$4 docker=$5 toolkit=$6
root=$work/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io --skip=cleanup/apt/lists \
    --include="$packages" \
    "$codename" "$root" "$work/sources.list"

printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# A container for the mounts that package scripts expect; --pipe keeps its output here.
inside() {
    systemd-nspawn --quiet --pipe --register=no --keep-unit --directory="$root" --link-journal=no --resolv-conf=replace-host --timezone=off \
        --setenv=DEBIAN_FRONTEND=noninteractive -- "$@"
}
inside apt-get install -qq -y --no-install-recommends "nvidia-kernel-dkms=$driver-*" "nvidia-kernel-support=$driver-*" "nvidia-smi=$driver-*" \
    "libcuda1=$driver-*" "libnvidia-ml1=$driver-*" "libnvcuvid1=$driver-*" "libnvidia-encode1=$driver-*" "libnvidia-ptxjitcompiler1=$driver-*" \
    nvidia-persistenced nvidia-modprobe
inside apt-get install -qq -y --no-install-recommends "docker.io=$docker*" apparmor
inside apt-get install -qq -y --no-install-recommends libicu72 libssl3 liblttng-ust1 git iputils-ping libkrb5-3
install -m 755 "$toolkit"/nvidia-* "$root/usr/bin/"
inside apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/var/lib/dkms/mok.key" "$root/usr/sbin/policy-rc.d"

raw=$work/disk.raw
truncate -s 16G "$raw"
printf 'label: gpt\nstart=2048, size=262144, type=U\nstart=264192, type=L, attrs="LegacyBIOSBootable"\n' | sfdisk --quiet "$raw"
mke2fs -q -F -t ext4 -O '^64bit,^metadata_csum' -E offset=$((129 * 1024 * 1024)),lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$raw" 16254M
qemu-img convert -O qcow2 -c -o compression_type=zstd -W -m 8 "$raw" "$work/disk.qcow2"
