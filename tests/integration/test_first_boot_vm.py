"""First boot in a real VM: one machine with one disk, cut off, started again, shut down, started again, and its disk read to the last byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.local import vm
from launch.local import Engine
from sim.azdo.faults import Action, Fault
from tests.integration import machines as field
from tests.integration import traces
from tests.integration.conftest import BakedImage
from tests.integration.machines import FAST, Machine, Machines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BOOT_S = vm.BOOT_S["tcg"]


@dataclass(frozen=True)
class Life:
    """What was seen of one machine: boots 1 (cut off while it registered), 2 (online, PAT revoked, shut down) and 3 (online again)."""

    machine: Machine
    pat: str
    sampled: traces.Sampler
    """Over the whole of boots 1 and 2."""
    phases: tuple[list[str], ...]
    """The phases on the console of each boot."""
    status: dict[str, Any]
    """The last one of boot 2."""
    agents: tuple[dict[str, Any], ...]
    """What the service knew after boots 2 and 3; there was one agent each time."""
    noted: str
    """What the launcher had to say when it took the seed away."""
    shut_down_s: float
    before_third: int
    """Requests that the service had answered until then."""
    capabilities: dict[str, str]
    """After boot 2."""


@pytest.fixture(scope="module")
def life(baked_image: BakedImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with pytest.MonkeyPatch.context() as patch:
        with field.machines(baked_image.record, tmp_path_factory.mktemp("vm"), patch, session_timeout=8.0) as machines:
            yield _live(machines)


def _live(machines: Machines) -> Life:
    azdo, pat = machines.azdo, machines.azdo.pat
    phases = []
    with traces.sampler(pat, pause=0.05) as sampled:
        azdo.fault(Fault(Action.HANG, method="POST", path="/agents$", times=0, seconds=60))  # it registers until its power is cut
        machine = machines.start(engine=Engine.VM, labels={**FAST, "RACK": "7"})
        machine.wait_for("register", timeout=BOOT_S)
        machine.cut_power()
        azdo.clear_faults()
        phases.append(machine.phases)
        machine.start()
        status = machine.wait_online(BOOT_S)
        phases.append(machine.phases)
        noted = machine.launcher.seal(machine.instance)
    second = machine.agent
    capabilities = dict(second["capabilities"])
    azdo.revoke(pat)
    shut_down_s = machine.shut_down(300)
    before_third = len(azdo.requests)
    machine.start()
    machine.wait_online(BOOT_S)
    phases.append(machine.phases)
    third = machine.agent
    machine.cut_power()
    return Life(machine, pat, sampled, tuple(phases), status, (second, third), noted, shut_down_s, before_third, capabilities)


def test_r16_cut_off_while_it_registers_it_is_registered_once(life: Life) -> None:
    assert life.phases[0] == ["started", "input", "probe", "register"]
    assert life.phases[1][-1] == "online"
    assert life.status["agent"]["id"] == life.agents[0]["id"]
    assert [agent["name"] for agent in life.machine.azdo.state()["agents"]] == [life.machine.name]


def test_r26_with_its_pat_revoked_it_comes_back_by_its_own_key(life: Life) -> None:
    assert life.phases[2] == ["online"]
    assert (life.agents[1]["id"], life.agents[1]["key"]) == (life.agents[0]["id"], life.agents[0]["key"])
    since = life.machine.azdo.requests[life.before_third :]
    assert since
    assert not [request for request in since if request.headers.get("authorization", "").startswith("Basic")]


def test_r25_shut_down_it_tells_the_service(life: Life) -> None:
    assert life.shut_down_s < 300
    told = [request for request in life.machine.azdo.requests if request.method == "DELETE" and "/sessions/" in request.path]
    assert [request.status for request in told] == [204]


def test_r22_labels_arrive_as_capabilities(life: Life) -> None:
    assert life.capabilities["RACK"] == "7"
    assert life.capabilities["PATH"].startswith("/usr/local/cuda/bin:/usr/local/nvidia/bin:")


def test_r10_no_process_of_the_host_ever_had_the_pat(life: Life) -> None:
    assert life.sampled.rounds > 50
    assert life.sampled.sightings == []


def test_r19_a_byte_search_of_the_whole_disk_finds_no_copy(life: Life, tmp_path: Path) -> None:
    folder = life.machine.folder
    assert life.noted == ""  # first boot wiped the seed itself, and the launcher took it out
    assert not any((folder / "seed.img").read_bytes())
    assert traces.in_folder(folder, life.pat) == []  # consoles, QEMU's log, the seed
    raw = tmp_path / "disk.raw"
    try:
        proc.run(["qemu-img", "convert", "-O", "raw", folder / "disk.qcow2", raw])
        assert raw.stat().st_blocks > 1 << 20  # half a GiB at least: it is the whole disk, not only what this machine wrote
        assert traces.in_file(raw, life.machine.name)
        assert not traces.in_file(raw, life.pat)
        with raw.open("r+b") as file:
            file.seek(raw.stat().st_size - (100 << 20) - 11)
            file.write(base64.b64encode(f":{life.pat}".encode()))
        assert traces.in_file(raw, life.pat)
    finally:
        raw.unlink(missing_ok=True)


def test_r11_r19_nor_does_the_service_hold_one(life: Life) -> None:
    azdo = life.machine.azdo
    assert [f"{request.method} {request.path}" for request in azdo.requests if traces.in_text(repr(request), life.pat)] == []
    assert not traces.in_text(json.dumps(azdo.state()), life.pat)
