# Purpose: print every fact about a booted image that needs no GPU, in named sections.
# Inputs:  root rights on the booted machine.
# Effect:  imports one small container image, runs it once and removes it; tries to load the nvidia module.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL

section() { # section NAME
  printf '\n@@begin %s\n' "$1"
  "$@" 2>&1
  printf '\n@@end %s %s\n' "$1" "$?"
}

system_state() { timeout 180 systemctl is-system-running --wait; }
failed_units() { systemctl list-units --state=failed --plain --no-legend --no-pager; }
running_kernel() { uname -r; }
boot_kernels() { for file in /boot/vmlinuz-*; do printf '%s\n' "${file#/boot/vmlinuz-}"; done; }
gpus() { grep -l 0x10de /sys/bus/pci/devices/*/vendor 2>/dev/null; }
secure_boot() { # four bytes of attributes, then the value; without UEFI there is no such file
  value=$(od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null | awk '{ print $5 }')
  if [ "$value" = 1 ]; then echo on; else echo off; fi
}
modprobe_nvidia() { modprobe nvidia; }
disk_free() { df --output=avail -B1 / | tail -n 1; }
guard_check() { nft --check --file /usr/lib/goldbake/metadata-guard.nft; }
guard_rules() { nft list table inet goldbake; }
metadata_for_agent() { # the rules with their counters after an attempt; there need be no metadata service
  ours=
  # A machine without a way out refuses before any rule is asked: QEMU's restricted network has no default route.
  if ! ip route get 169.254.169.254 > /dev/null 2>&1; then
    ip route add 169.254.169.254/32 dev lo && ours=1
  fi
  setpriv --reuid agent --regid agent --clear-groups timeout 10 bash -c ': </dev/tcp/169.254.169.254/80' 2>/dev/null
  [ -z "$ours" ] || ip route del 169.254.169.254/32 dev lo
  nft list chain inet goldbake jobs
}
docker_info() { docker info --format '{{json .Runtimes}}'; }
docker_version() { docker version --format '{{.Server.Version}}'; }
docker_run() { # an image made of the machine's own `echo`: no registry is asked
  program=$(readlink -f /usr/bin/echo)
  libraries=$(ldd "$program" | grep -oE '/[^ ]+')
  # shellcheck disable=SC2086  # a list of paths without blanks
  image=$(tar -chf - $program $libraries 2>/dev/null | docker import -) || return 1
  docker run --rm --network none "$image" "$program" the container ran
  code=$?
  docker image rm "$image" > /dev/null
  return "$code"
}

for name in system_state failed_units running_kernel boot_kernels gpus secure_boot modprobe_nvidia disk_free guard_check guard_rules metadata_for_agent docker_info docker_version docker_run; do
  section "$name"
done
