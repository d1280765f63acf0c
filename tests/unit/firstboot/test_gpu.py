"""The gate that a machine with GPUs must pass before its agent goes online."""

from __future__ import annotations

import time
from typing import Any

import pytest
from firstboot import gpu, report

from sim.azdo import SimulatedAzureDevOps
from tests.unit.firstboot.box import Box

GPU, AUDIO, OTHER = ("0x10de", "0x030200"), ("0x10de", "0x040300"), ("0x1af4", "0x030000")
ROW = "Tesla T4, 15360, 535.309.01"


def pci(box: Box, *devices: tuple[str, str]) -> None:
    for number, (vendor, kind) in enumerate(devices):
        box.write(f"sys/bus/pci/devices/0000:00:{number:02x}.0/vendor", f"{vendor}\n")
        box.write(f"sys/bus/pci/devices/0000:00:{number:02x}.0/class", f"{kind}\n")


def driver(box: Box, smi: str, modprobe: str = "exit 0") -> None:
    """Stand-ins for the driver's two programs. The clock runs with every sleep."""
    box.settings.nvidia_smi = (box.program("nvidia-smi", f'#!/bin/sh\necho "$*" >>"{box.root}/smi.calls"\n{smi}\n'),)
    box.settings.modprobe = (box.program("modprobe", f"#!/bin/sh\n{modprobe}\n"),)
    now = [0.0]
    box.settings.monotonic = lambda: now[0]
    box.settings.sleep = lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_r21_gpus_are_counted_by_vendor_and_class(box: Box) -> None:
    assert gpu.count(box.settings) == 0
    pci(box, GPU, AUDIO, OTHER, ("0x10de", "0x030000"))
    assert gpu.count(box.settings) == 2


def test_r21_without_a_gpu_there_is_no_gate(box: Box, given: dict[str, Any]) -> None:
    pci(box, AUDIO, OTHER)
    driver(box, "exit 1", "exit 1")
    box.seed(given)
    assert box.boot() == 0
    assert "gpu" not in box.phases


def test_r21_r22_healthy_gpus_become_capabilities(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    pci(box, GPU, GPU)
    driver(box, f'printf "{ROW}\\n{ROW}\\n"')
    box.seed({**given, "labels": {"GPU_NAME": "mine", "TEAM": "a"}})
    assert box.boot() == 0
    assert box.phases == ["started", "input", "probe", "gpu", "register", "verify", "start", "online"]
    (agent,) = service.state()["agents"]
    wanted = {"GPU_NAME": "mine", "GPU_COUNT": "2", "GPU_MEMORY_MIB": "15360", "NVIDIA_DRIVER_VERSION": "535.309.01", "TEAM": "a"}
    assert {name: agent["capabilities"].get(name) for name in wanted} == wanted
    assert (box.root / "run/goldbake/gpu-healthy").exists()


@pytest.mark.parametrize(
    ("smi", "modprobe", "reason"),
    [
        (f"echo '{ROW}'", "exit 0", "nvidia-smi lists 1 GPUs, the PCI bus has 2"),
        ("echo 'No devices were found'; exit 6", "exit 0", "nvidia-smi fails: No devices were found"),
        ("exit 9", "exit 0", "nvidia-smi fails: exit code 9"),
        (
            "exit 0",
            "echo 'could not insert nvidia: No such device' >&2; exit 1",
            "the driver does not load: could not insert nvidia: No such device",
        ),
    ],
)
def test_r21_a_broken_gpu_leaves_no_agent_and_a_reason(
    box: Box, service: SimulatedAzureDevOps, given: dict[str, Any], smi: str, modprobe: str, reason: str
) -> None:
    pci(box, GPU, GPU)
    driver(box, smi, modprobe)
    box.seed(given)
    assert box.boot() == 15
    assert (box.status["phase"], box.status["error"], box.status["reason"]) == ("failed", "gpu", reason)
    assert service.state()["agents"] == []
    assert "start goldbake-agent.service" not in box.systemctl_calls
    assert box.holding(service.pat) == []


def test_r21_a_driver_that_is_late_is_waited_for(box: Box) -> None:
    pci(box, GPU)
    driver(box, f'[ "$(wc -l <"{box.root}/smi.calls")" -ge 3 ] || exit 9; echo "{ROW}"')
    assert gpu.check(box.settings)["GPU_COUNT"] == "1"


def test_r21_an_nvidia_smi_that_hangs_ends_in_time(box: Box) -> None:
    pci(box, GPU)
    driver(box, "sleep 60")
    box.settings.monotonic = time.monotonic
    box.settings.gpu_s = 1.0
    before = time.monotonic()
    with pytest.raises(gpu.Problem, match="did not end in time"):
        gpu.check(box.settings)
    assert time.monotonic() - before < 40  # of 60


def test_r21_the_gate_of_later_boots_says_why_it_is_closed(box: Box) -> None:
    pci(box, GPU)
    driver(box, "echo 'Unable to determine the device handle for GPU0: GPU is lost'; exit 15")
    assert report.main(["gpu"], box.settings) == 15
    assert (box.status["phase"], box.status["error"]) == ("failed", "gpu")
    assert "GPU is lost" in box.status["reason"]


def test_r21_the_gate_of_later_boots_is_open_for_healthy_gpus(box: Box) -> None:
    pci(box, GPU)
    driver(box, f"echo '{ROW}'")
    assert report.main(["gpu"], box.settings) == 0
    assert not (box.root / "var/lib/goldbake/status.json").exists()
