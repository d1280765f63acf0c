"""Where everything is: one object, so that a test can put all of it under a folder of its own. No environment variable changes it."""

from __future__ import annotations

import time

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Settings:
    """Paths, addresses, limits and doors to the outside. `root` is put before every path of the machine."""

    def __init__(self, root: str = "") -> None:
        self.root = root
        self.agent_root = f"{root}/opt/azure-pipelines-agent"
        self.agent_user: str | None = "agent"  # None: registration runs as whoever we are
        self.agent_home = f"{root}/home/agent"
        self.agent_path = "/usr/local/cuda/bin:/usr/local/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.state = f"{root}/var/lib/goldbake"
        self.run = f"{root}/run/goldbake"
        self.manifest = f"{root}/usr/share/goldbake/manifest.json"
        self.seed = f"{root}/var/lib/cloud/seed/nocloud"
        self.dmi = f"{root}/sys/class/dmi/id"
        self.block = f"{root}/sys/class/block"
        self.pci = f"{root}/sys/bus/pci/devices"
        self.tty = f"{root}/sys/class/tty"
        self.dev = f"{root}/dev"
        self.container = f"{root}/run/systemd/container"
        self.cloud_init = (f"{root}/var/lib/cloud", f"{root}/run/cloud-init")
        self.logs = (f"{root}/var/log/cloud-init.log", f"{root}/var/log/cloud-init-output.log", f"{root}/var/log/waagent.log")
        self.waagent = f"{root}/var/lib/waagent"
        self.scale_set = (f"{root}/agent", f"{root}/var/lib/waagent/Microsoft.VisualStudio.Services.TeamServicesAgentLinux*")
        self.certificates = f"{root}/etc/ssl/certs/ca-certificates.crt"
        self.own_certificates = f"{root}/usr/local/share/ca-certificates"

        self.aws: Sequence[str] = ("http://169.254.169.254", "http://[fd00:ec2::254]")
        self.gcp: Sequence[str] = ("http://169.254.169.254", "http://[fd20:ce::254]")
        self.azure: Sequence[str] = ("http://169.254.169.254",)
        self.metadata_budget_s = 60.0

        self.answer_s = 20.0
        """Longest wait for one answer of the service."""
        self.probe_budget_s = 600.0
        self.register_s = 240.0
        """Longest run of config.sh; the real one needs 5 to 20 s, an emulated machine five times that."""
        self.register_attempts = 4
        self.backoff_s = 1.0
        self.backoff_max_s = 30.0
        self.retry_after_max_s = 300.0
        self.skew_s = 240.0
        """The agent's tokens are valid for 5 minutes."""
        self.gpu_s = 120.0
        self.start_s = 660.0
        """Longer than TimeoutStartSec= of the agent's unit, which waits for the end of a session conflict."""

        self.systemctl: Sequence[str] = ("systemctl",)
        self.nvidia_smi: Sequence[str] = ("nvidia-smi",)
        self.modprobe: Sequence[str] = ("modprobe",)
        self.udevadm: Sequence[str] = ("udevadm",)
        self.mount: Sequence[str] = ("mount",)
        self.umount: Sequence[str] = ("umount",)

        self.clock: Callable[[], float] = time.time
        self.monotonic: Callable[[], float] = time.monotonic
        self.sleep: Callable[[float], None] = time.sleep
        self.jitter: Callable[[], float] = _random
        self.uptime: Callable[[], float] = _uptime


def _random() -> float:
    """Between 0 and 1, as random.random(), without its import."""
    import os

    return int.from_bytes(os.urandom(4), "big") / 2**32


def _uptime() -> float:
    """Seconds since the kernel of this machine started; in a container since its first process did."""
    import os

    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    if os.path.exists("/run/systemd/container"):
        with open("/proc/1/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19])  # field 22, starttime
        now -= started / os.sysconf("SC_CLK_TCK")
    return now
