"""For every check of tests/testinfra the change of an image that it must notice, and that no other check takes for its own.

The scripts are bash, run as root with `set -eu`: those of FILES in a throw-away copy of the image (chroot), those of BOOTED by SSH on a
running one, where `undo` puts everything back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goldbake import proc
from goldbake.local.container import overlay

_PRELUDE = """\
set -eu
kernel=$(basename /boot/vmlinuz-*) kernel=${kernel#vmlinuz-}
agent=/opt/azure-pipelines-agent
manifest=/usr/share/goldbake/manifest.json
modules=/lib/modules/$kernel/updates/dkms

module() { # module NAME: the file of one module of the driver; Debian writes nvidia-current-uvm for nvidia-uvm
  find "$modules" -name "nvidia${1#nvidia}.ko" -o -name "nvidia-current${1#nvidia}.ko" -o -name "nvidia-current-open${1#nvidia}.ko"
}
replace() { # replace FILE OLD NEW: both of one length where FILE is binary
  grep -qF -- "$2" "$1" || { echo "$1 has no $2" >&2; exit 1; }
  LC_ALL=C sed -i --follow-symlinks "s|${2//./\\\\.}|$3|" "$1"
}
package_field() { # package_field PACKAGE FIELD VALUE: change dpkg's record of an installed package
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1")" = installed ]
  sed -i "/^Package: $1\\$/,/^\\$/s|^$2: .*|$2: $3|" /var/lib/dpkg/status
}
"""


@dataclass(frozen=True)
class Sabotage:
    """One change of an image."""

    script: str
    undo: str = ""
    """How to take it back; only for a machine that runs."""
    asked: bool = True
    """Whether the bake's wishes are compared too; without them only the image's own manifest says what it should be, as for `--host`."""
    also: tuple[str, ...] = ()
    """Checks that cannot stay green, and in `because` why."""
    because: str = ""


FILES: Mapping[str, Sabotage] = {
    # agent
    "agent.agent_root_belongs_to_the_agent_user": Sabotage('chown root "$agent"'),
    "agent.agent_root_is_closed_to_others": Sabotage('chmod 755 "$agent"'),
    "agent.agent_is_unpacked": Sabotage('rm "$agent/run.sh"'),
    "agent.agent_has_the_wanted_version": Sabotage("""
        printf '#!/bin/sh\\necho 4.0.0\\n' >"$agent/bin/Agent.Listener"
    """),
    "agent.agent_is_not_configured": Sabotage('echo "{}" >"$agent/.credentials_rsaparams"'),
    "agent.agent_has_not_worked": Sabotage('mkdir -p "$agent/_work/1"'),
    "agent.agent_has_no_service_yet": Sabotage("touch /etc/systemd/system/vsts.agent.organization.pool.name.service"),
    "agent.agent_dependencies_are_installed": Sabotage("dpkg --log=/dev/null --force-depends --remove iputils-ping"),
    "agent.libicu_is_found_by_the_linker": Sabotage("rm /usr/lib/x86_64-linux-gnu/libicuuc.so.* && ldconfig"),
    "agent.agent_libraries_resolve": Sabotage("""
        cp "$(ldconfig -p | sed -n 's/.*libicuuc.* => //p')" "$agent/bin/libbroken.so"
        rm /usr/lib/x86_64-linux-gnu/libicudata.so.*
    """),
    "agent.agent_safety_switches_are_set_nowhere": Sabotage("echo AGENT_ALLOW_RUNASROOT=1 >>/etc/environment"),
    "agent.agent_user_is_not_an_administrator": Sabotage("usermod --append --groups adm agent"),
    "agent.agent_user_may_use_docker": Sabotage("gpasswd --delete agent docker"),
    # docker
    "docker.docker_has_the_wanted_version": Sabotage("package_field docker.io Version 20.10.5+dfsg1-1"),
    "docker.there_is_one_container_engine": Sabotage("""
        printf 'Package: podman-docker\\nStatus: install ok installed\\nMaintainer: nobody\\nArchitecture: amd64\\nVersion: 4.3.1\\nDescription: other\\n\\n' \\
            >>/var/lib/dpkg/status
    """),
    "docker.daemon_configuration_names_the_nvidia_runtime": Sabotage(
        """replace /etc/docker/daemon.json '"nvidia-container-runtime"' '"runc"'"""
    ),
    # driver
    "driver.dkms_installed_the_module_for_every_kernel": Sabotage("rm -r /var/lib/dkms/nvidia*"),
    "driver.modules_exist_for_every_kernel": Sabotage('rm "$(module nvidia-uvm)" && depmod "$kernel"'),
    "driver.modules_have_the_wanted_version": Sabotage('replace "$(module nvidia-uvm)" version=535 version=534'),
    "driver.modules_were_built_for_their_kernel": Sabotage('replace "$(module nvidia-uvm)" "vermagic=${kernel%%.*}." vermagic=5.'),
    "driver.module_has_the_wanted_flavour": Sabotage('replace "$(module nvidia)" license=NVIDIA "license=GPL v2"'),
    "driver.modules_have_one_signer": Sabotage('truncate --size=-28 "$(module nvidia-uvm)"'),
    "driver.driver_packages_have_one_version": Sabotage("package_field nvidia-smi Version 535.308.01-0+deb12u1"),
    "driver.nvidia_smi_is_installed": Sabotage('rm "$(command -v nvidia-smi)"'),
    "driver.library_is_found_by_the_linker[libcuda.so.1]": Sabotage("rm /usr/lib/x86_64-linux-gnu/libcuda.so.1 && ldconfig -X"),
    "driver.library_is_found_by_the_linker[libnvidia-ml.so.1]": Sabotage("rm /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 && ldconfig -X"),
    "driver.nouveau_is_blacklisted": Sabotage("""
        grep -rlsw 'blacklist nouveau' /etc /usr/lib/modprobe.d | xargs sed -i --follow-symlinks '/blacklist nouveau/d'
    """),
    "driver.nouveau_is_not_in_the_initramfs": Sabotage("""
        mkdir -p /run/extra/kernel/drivers && cd /run/extra && touch kernel/drivers/nouveau.ko
        find . | cpio --quiet --create --format=newc >/run/extra.cpio
        cat "/boot/initrd.img-$kernel" >>/run/extra.cpio && mv /run/extra.cpio "/boot/initrd.img-$kernel"
    """),
    "driver.driver_is_not_loaded_blindly_at_boot": Sabotage("echo nvidia-drm >/etc/modules-load.d/display.conf"),
    # firstboot
    "firstboot.programs_can_be_run": Sabotage("chmod 644 /usr/lib/goldbake/goldbake-agent"),
    "firstboot.modules_are_compiled": Sabotage("echo '# changed by hand' >>/usr/lib/goldbake/firstboot/main.py"),
    "firstboot.modules_can_be_imported": Sabotage("rm /usr/lib/goldbake/firstboot/retry.py"),
    "firstboot.first_boot_has_not_run": Sabotage("install -D /dev/null /var/lib/goldbake/expires"),
    "firstboot.there_is_no_user_data": Sabotage("install -D /dev/null /var/lib/waagent/ovf-env.xml"),
    # hygiene
    "hygiene.machine_id_is_empty": Sabotage("echo 0123456789abcdef0123456789abcdef >/etc/machine-id"),
    "hygiene.there_are_no_ssh_host_keys": Sabotage("ssh-keygen -q -A"),
    "hygiene.nobody_may_log_in_by_key": Sabotage("""
        install -d -m 700 /home/agent/.ssh && echo 'ssh-ed25519 AAAA packer' >/home/agent/.ssh/authorized_keys
    """),
    "hygiene.nobody_has_a_password": Sabotage("passwd --quiet --delete agent"),
    "hygiene.there_is_no_module_signing_key": Sabotage("install -D -m 600 /dev/null /var/lib/shim-signed/mok/MOK.priv"),
    "hygiene.there_is_no_other_private_key": Sabotage("ssh-keygen -q -t ed25519 -N '' -f /home/agent/deploy_key"),
    "hygiene.cloud_init_has_not_run": Sabotage("install -D /dev/null /var/lib/cloud/instances/i-0/boot-finished"),
    "hygiene.nothing_of_packer_is_left": Sabotage("mkdir -p /opt/packer-upload"),
    "hygiene.temporary_folders_are_empty": Sabotage("touch /var/tmp/script_1234.sh"),
    "hygiene.there_is_no_shell_history": Sabotage("echo 'export PAT=secret' >/root/.bash_history"),
    "hygiene.logs_are_empty": Sabotage("echo 'Nov 24 00:00:00 bake sshd: Accepted publickey' >>/var/log/auth.log"),
    "hygiene.there_are_no_downloaded_packages": Sabotage("echo x >/var/cache/apt/archives/curl_7.88.1_amd64.deb"),
    "hygiene.there_is_no_random_seed": Sabotage("head -c 32 /dev/urandom >/var/lib/systemd/random-seed"),
    "hygiene.apt_asks_public_servers_only": Sabotage("""
        echo 'Acquire::http::Proxy "http://10.0.0.1:3128";' >/etc/apt/apt.conf.d/90proxy
    """),
    # kernel
    "kernel.every_kernel_has_headers": Sabotage('rm "/lib/modules/$kernel/build"'),
    "kernel.every_kernel_has_an_initramfs": Sabotage('rm "/boot/initrd.img-$kernel"'),
    "kernel.modules_belong_to_installed_kernels_only": Sabotage("mkdir /lib/modules/6.1.0-1-cloud-amd64"),
    # manifest
    "manifest.manifest_is_a_json_object": Sabotage('echo "[]" >"$manifest"'),
    "manifest.manifest_agrees_with_what_was_asked": Sabotage("""replace "$manifest" '"image": "' '"image": "other-'"""),
    "manifest.manifest_names_the_installed_kernels": Sabotage("""replace "$manifest" "    \\"$kernel\\"" '    "6.1.0-1-cloud-amd64"'""", asked=False),
    "manifest.manifest_names_the_agents_sha256": Sabotage("""
        python3 - "$manifest" <<'END'
import json, sys
with open(sys.argv[1]) as file:
    manifest = json.load(file)
del manifest["agent"]["sha256"]
with open(sys.argv[1], "w") as file:
    json.dump(manifest, file)
END
    """, asked=False),
    # services
    "services.unit_is_enabled[docker.socket]": Sabotage("systemctl disable docker.socket"),
    "services.unit_is_enabled[nvidia-persistenced.service]": Sabotage("systemctl disable nvidia-persistenced.service"),
    "services.unit_is_enabled[nvidia-cdi-refresh.service]": Sabotage("systemctl disable nvidia-cdi-refresh.service"),
    "services.unit_is_enabled[nvidia-cdi-refresh.path]": Sabotage("systemctl disable nvidia-cdi-refresh.path"),
    "services.unit_is_enabled[goldbake-firstboot.service]": Sabotage("systemctl mask goldbake-firstboot.service"),
    "services.unit_is_enabled[goldbake-agent.service]": Sabotage("systemctl disable goldbake-agent.service"),
    "services.unit_is_enabled[goldbake-metadata-guard.service]": Sabotage("systemctl disable goldbake-metadata-guard.service"),
    "services.unit_is_enabled[goldbake-ttl.service]": Sabotage("systemctl disable goldbake-ttl.service"),
    "services.unit_is_enabled[goldbake-hostkeys.service]": Sabotage("systemctl disable goldbake-hostkeys.service"),
    "services.unit_is_enabled[goldbake-apparmor.service]": Sabotage("systemctl disable goldbake-apparmor.service"),
    "services.unit_does_not_hold_up_the_boot[docker.service]": Sabotage("systemctl enable docker.service"),
    "services.unit_does_not_hold_up_the_boot[containerd.service]": Sabotage("systemctl enable containerd.service"),
    "services.unit_does_not_hold_up_the_boot[apparmor.service]": Sabotage("systemctl enable apparmor.service"),
    "services.unit_does_not_hold_up_the_boot[e2scrub_reap.service]": Sabotage("systemctl enable e2scrub_reap.service"),
    # toolkit
    "toolkit.toolkit_is_complete": Sabotage('rm "$(command -v nvidia-container-runtime-hook)"'),
    "toolkit.toolkit_has_the_wanted_version": Sabotage("""
        printf '#!/bin/sh\\necho NVIDIA CDI Hook CLI version 1.0.0\\n' >"$(command -v nvidia-cdi-hook)"
    """),
    "toolkit.runtime_mode_fits_the_installation": Sabotage("""replace /etc/nvidia-container-runtime/config.toml '"cdi"' '"legacy"'"""),
    "toolkit.no_cdi_specification_is_baked": Sabotage("install -D /dev/null /etc/cdi/nvidia.yaml"),
    # updates
    "updates.kernel_packages_are_held": Sabotage("echo linux-image-cloud-amd64 install | dpkg --set-selections"),
    "updates.nvidia_packages_are_held": Sabotage("echo nvidia-smi install | dpkg --set-selections"),
    "updates.docker_packages_are_held": Sabotage("echo runc install | dpkg --set-selections"),
    "updates.upgrade_leaves_held_packages_alone": Sabotage("""echo 'APT::Ignore-Hold "true";' >/etc/apt/apt.conf.d/99ignore-hold"""),
    "updates.timer_is_masked[apt-daily.timer]": Sabotage("systemctl unmask apt-daily.timer"),
    "updates.timer_is_masked[apt-daily-upgrade.timer]": Sabotage("systemctl unmask apt-daily-upgrade.timer"),
    "updates.unattended_upgrade_is_off": Sabotage("""
        echo 'APT::Periodic::Unattended-Upgrade "1";' >/etc/apt/apt.conf.d/99zz-unattended
    """),
}  # fmt: skip
"""Checks of an image's files, before its first boot."""

HARMLESS: Mapping[str, Sabotage] = {
    "a list of modules that is masked": Sabotage("mkdir -p /usr/lib/modules-load.d && echo nvidia >/usr/lib/modules-load.d/nvidia.conf"),
    "an apt source in the newer form": Sabotage("""
        printf 'Types: deb\\nURIs: https://deb.debian.org/debian\\nSuites: bookworm-backports\\nComponents: main\\n' >/etc/apt/sources.list.d/more.sources
    """),
    "a certificate, which is no key": Sabotage("cp /etc/ssl/certs/ca-certificates.crt /etc/ssl/private/chain.pem"),
    "a package of its own that nobody holds": Sabotage("echo curl install | dpkg --set-selections"),
}  # fmt: skip
"""Changes that no check may take offence at."""

BOOTED: Mapping[str, Sabotage] = {
    "docker.docker_reports_the_nvidia_runtime": Sabotage(
        'sed -i.kept \'s/"nvidia"/"other"/\' /etc/docker/daemon.json && systemctl restart docker',
        undo="mv /etc/docker/daemon.json.kept /etc/docker/daemon.json && systemctl restart docker",
    ),
    "docker.docker_runs_a_container": Sabotage("mount --bind /usr/bin/false /usr/sbin/runc", undo="umount /usr/sbin/runc"),
    "driver.module_fits_the_running_kernel": Sabotage(
        """
        # With modversions the kernel compares all of vermagic but the release; the smallest module, because an emulated machine is slow.
        cp "$(module nvidia-drm)" /var/cache/other.ko && replace /var/cache/other.ko "vermagic=$kernel SMP" "vermagic=$kernel UMP"
        mount --bind /var/cache/other.ko "$(module nvidia)"
        """,
        undo='umount "$(module nvidia)" && rm /var/cache/other.ko',
    ),
    "driver.secure_boot_is_on_where_the_modules_are_signed_for_it": Sabotage(
        """
        cp $manifest /run/kept.json
        sed -i '0,/{/s//{"secure_boot": true,/' $manifest
        """,
        undo="mv /run/kept.json $manifest",
    ),
    "firstboot.guard_can_be_loaded": Sabotage(
        "echo 'table inet goldbake { chain jobs { ip daddr nowhere.invalid reject; }; }' >/run/broken.nft"
        " && mount --bind /run/broken.nft /usr/lib/goldbake/metadata-guard.nft",
        undo="umount /usr/lib/goldbake/metadata-guard.nft && rm /run/broken.nft",
    ),
    "firstboot.guard_is_loaded": Sabotage(
        "nft delete chain inet goldbake forward", undo="systemctl restart goldbake-metadata-guard.service"
    ),
    "firstboot.metadata_service_is_blocked_for_the_agents_user": Sabotage(
        "nft flush chain inet goldbake jobs", undo="systemctl restart goldbake-metadata-guard.service"
    ),
    "kernel.newest_kernel_is_the_running_one": Sabotage(
        "touch /boot/vmlinuz-99.1.0-cloud-amd64", undo="rm /boot/vmlinuz-99.1.0-cloud-amd64"
    ),
    "services.system_is_running": Sabotage(
        "! systemd-run --quiet --wait --unit=sabotage /usr/bin/false", undo="systemctl reset-failed sabotage"
    ),
    "services.disk_has_a_gib_free": Sabotage(
        "fallocate --length $(($(df --output=avail -B1 / | tail -n 1) - (1 << 29))) /filler", undo="rm /filler && sync"
    ),
}
"""Checks of a machine that runs."""


def script_of(text: str) -> str:
    """A sabotage's text with the functions that it may use."""
    return f"{_PRELUDE}{text}\n"


@contextmanager
def sabotaged(root: Path, sabotage: Sabotage, work: Path) -> Iterator[Path]:
    """A copy of the image in memory with the sabotage done; it is gone when the block ends. Raises ProcessError when it cannot be done."""
    memory = work / "memory"
    memory.mkdir(parents=True)
    proc.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "goldbake-sabotage", memory])
    try:
        with overlay([root], memory / "upper", memory / "work") as copy:
            # proc and dev for the programs of the image; they are gone with the namespace.
            enter = 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" bash -s'
            proc.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh", copy], input=script_of(sabotage.script))
            yield copy
    finally:
        proc.run(["umount", memory])
