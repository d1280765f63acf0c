"""A stock machine for comparison: the same base layer with what a distribution's cloud image has besides — cloud-init, a full initrd, firmware."""

from __future__ import annotations

import time
from pathlib import Path

from goldbake import proc
from goldbake.errors import BakeError
from goldbake.local import container, disk, rootfs, vm
from goldbake.local.container import free_port
from goldbake.log import Progress
from goldbake.plan import BakePlan

SCRIPT = Path(__file__).with_name("stock.sh")
_LIMIT_S = 600.0


def make(plan: BakePlan, base: Path, work: Path, progress: Progress) -> Path:
    """A bootable raw disk of the stock machine, made of the base layer `base`; `work` is on the same file system."""
    raw = work / "stock.raw"
    with container.overlay([base], work / "stock", work) as root:
        with container.booted(root, work, name="goldbake-stock") as login:
            proc.stream(login.ssh(f"bash -s <<'END'\n{SCRIPT.read_text()}\nEND\n"), lambda line: progress.detail("stock image", line))
        rootfs.seal(plan.image.os, root)
        (root / "etc/modules-load.d/virtio-net.conf").unlink(missing_ok=True)
        disk.assemble(root, raw, plan.image.disk_gib, lambda line: progress.detail("stock image", line))
    return raw


def seconds_to_ssh(raw: Path, work: Path) -> float:
    """Boot a throw-away overlay of the disk as a cloud does, with a seed for cloud-init; seconds until an SSH server answers.

    Raises BakeError with the end of its console when it does not within 10 minutes.
    """
    overlay, serial, seed = work / "stock.qcow2", work / "stock.serial", work / "seed.raw"
    overlay.unlink(missing_ok=True)
    proc.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay])
    _write_seed(seed, work)
    port = free_port()
    command: list[str | Path] = [
        "qemu-system-x86_64", *vm.processor(), "-smp", "2", "-m", "2048",
        "-display", "none", "-nodefaults", "-no-user-config", "-serial", f"file:{serial}",
        "-drive", f"file={overlay},format=qcow2,if=virtio,cache=unsafe,discard=unmap", "-drive", f"file={seed},format=raw,if=virtio",
        "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22,restrict=on", "-device", "virtio-net-pci,netdev=net0",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip
    started = time.monotonic()
    with proc.started(command, grace=3) as child:
        while time.monotonic() - started < _LIMIT_S and child.poll() is None:
            if vm.banner(port):
                return time.monotonic() - started
            time.sleep(0.1)
    tail = "\n".join("    " + line for line in serial.read_text(errors="replace").splitlines()[-15:])
    raise BakeError(f"the stock machine's SSH server did not answer:\n{tail}", hint=f"the whole console: {serial}")


def _write_seed(seed: Path, work: Path) -> None:
    key = container.keygen(work / "stock_key")
    (work / "user-data").write_text(f"#cloud-config\nssh_authorized_keys: [{key}]\n")
    (work / "meta-data").write_text("instance-id: stock\nlocal-hostname: stock\n")
    with seed.open("wb") as file:
        file.truncate(2 * disk.MIB)
    proc.run(["mformat", "-i", seed, "-v", "CIDATA", "::"])
    proc.run(["mcopy", "-i", seed, work / "user-data", work / "meta-data", "::/"])
