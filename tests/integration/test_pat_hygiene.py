"""Where the PAT is while a machine becomes an agent, and that it is nowhere afterwards: looked for byte by byte."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldbake.secret import Secret
from sim.azdo import SimulatedAzureDevOps
from sim.azdo.faults import Action, Fault
from tests.integration import machines as field
from tests.integration import traces
from tests.integration.conftest import BakedImage
from tests.integration.machines import Machine, Machines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SECRET = "planted-4711-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def machines(baked_image: BakedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    with field.machines(baked_image.record, tmp_path, monkeypatch) as found:
        yield found


def _copies(machines: Machines, machine: Machine, pat: str) -> list[str]:
    """Everything on this host and at the service that holds the PAT because of this machine."""
    found = traces.in_folder(machine.folder, pat, besides=("root",))  # what it wrote is in `upper`; the rest of `root` is the image
    found += traces.in_folder(machines.paths.state, pat, besides=("instances",))
    if machine.pid is not None:
        for folder in ("run", "tmp", "dev/shm"):  # in memory, so not in the upper layer
            found += traces.in_folder(Path(f"/proc/{machine.pid}/root/{folder}"), pat)
        journal = machine.run("journalctl --output=export --all --no-pager").stdout
        assert "goldbake-firstboot" in journal
        found += ["journal"] if traces.in_text(journal, pat) else []
    found += [f"{kind} of process {pid}" for kind, pid in _processes(pat)]
    return found + _copies_at(machines.azdo, pat)


def _copies_at(azdo: SimulatedAzureDevOps, pat: str) -> list[str]:
    """What the service was sent besides the credential itself: paths, headers, bodies; and what it tells others of the agents."""
    requests = [f"{request.method} {request.path}" for request in azdo.requests if traces.in_text(repr(request), pat)]
    return requests + (["state of the service"] if traces.in_text(json.dumps(azdo.state()), pat) else [])


def _processes(pat: str) -> list[tuple[str, int]]:
    with traces.sampler(pat) as sampled:
        time.sleep(0.3)
    assert sampled.rounds
    return [(sighting.kind, sighting.pid) for sighting in sampled.sightings]


def test_r10_r19_the_pat_is_in_no_arguments_in_config_sh_only_and_nowhere_afterwards(machines: Machines) -> None:
    with traces.sampler(machines.azdo.pat) as sampled:
        report, (machine,) = machines.launch()
        time.sleep(0.5)
    assert report.notes == ()  # first boot wiped its seed itself
    (session,) = [request for request in machines.azdo.requests if request.method == "POST" and request.path.endswith("/sessions")]
    assert sampled.rounds > 20
    assert [sighting for sighting in sampled.sightings if sighting.is_registration], "the sampler has not seen what is there to see"
    assert [sighting for sighting in sampled.sightings if not sighting.is_registration] == []
    assert [sighting for sighting in sampled.sightings if sighting.last > session.at] == []
    assert _copies(machines, machine, machines.azdo.pat) == []
    planted = machine.root / "var/tmp/copy"
    planted.write_bytes(b"x" * 5000 + base64.b64encode(f"VstsAgent:{machines.azdo.pat}".encode()))
    assert _copies(machines, machine, machines.azdo.pat) == [str(machine.folder / "upper/var/tmp/copy")]


def test_r19_a_pat_that_is_not_accepted_is_wiped_as_well(machines: Machines) -> None:
    pat = machines.azdo.add_pat()
    machines.azdo.revoke(pat)
    with traces.sampler(pat) as sampled:
        machine = machines.start(pat=Secret(pat))
        status = field.until("it gives up", lambda: machine.status.get("phase") == "failed" and machine.status)
    assert (status["error"], status["phase"]) == ("auth", "failed")
    assert sampled.sightings == []  # config.sh was not called with it
    assert machines.azdo.state()["agents"] == []
    assert _copies(machines, machine, pat) == []


CARELESS = {
    "keeps its user-data": ("wipe.py", "def wipe(settings, found, pat):\n    return []\n"),
    "hands it over as an argument": (
        "register.py",
        "_careful = command\ndef command(settings, given, name, ca):\n    return [*_careful(settings, given, name, ca), '--token', given.pat]\n",
    ),
    "writes it down": ("register.py", "def persist(settings, *_):\n    open('/var/log/debug', 'w').write(_seen)\n"
                       "_careful = environment\ndef environment(settings, given):\n    global _seen\n    _seen = given.pat\n"
                       "    return _careful(settings, given)\n"),
}  # fmt: skip
"""Programs that are not as careful as ours, made of it by these lines at the end of a module."""


@pytest.mark.parametrize("habit", CARELESS)
def test_a_first_boot_that_is_careless_is_noticed(machines: Machines, habit: str) -> None:
    name, lines = CARELESS[habit]

    def spoil(root: Path) -> None:
        module = root / "usr/lib/goldbake/firstboot" / name
        with module.open("a") as file:
            file.write(f"\n\n{lines}")
        for compiled in module.parent.glob(f"__pycache__/{module.stem}.*"):
            compiled.unlink()

    with traces.sampler(machines.azdo.pat) as sampled:
        machine = machines.start(prepare=spoil)
        machine.wait_online()
    arguments = [sighting for sighting in sampled.sightings if not sighting.is_registration]
    found = _copies(machines, machine, machines.azdo.pat)
    expected = {
        "keeps its user-data": ([], [str(machine.folder / "seed/user-data")]),
        "hands it over as an argument": (["cmdline"], []),
        "writes it down": ([], [str(machine.folder / "upper/var/log/debug")]),
    }
    assert (sorted({sighting.kind for sighting in arguments}), found) == expected[habit]


def test_r10_a_crash_while_it_registers_leaves_no_core_and_no_copy(machines: Machines) -> None:
    machines.azdo.fault(Fault(Action.HANG, "POST", "/agents$", seconds=60, times=0))
    machine = machines.start()
    field.until("it registers", lambda: any(request.fault for request in machines.azdo.requests))
    names = (b"Agent.Listener\0configure", b"/usr/lib/goldbake/goldbake-firstboot")
    crashed = [process for process in machine.processes if any(name in process.words for name in names)]
    assert len(crashed) == 2
    for process in crashed:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    for process in sorted(crashed, key=lambda process: b"goldbake-firstboot" in process.words):  # with it the other would be ended
        os.kill(process.pid, signal.SIGABRT)
    show = "systemctl show -p ActiveState --value goldbake-firstboot.service"
    field.until("the unit has failed", lambda: machine.run(show).stdout == "failed\n")
    assert traces.in_folder(machine.folder, machines.azdo.pat, besides=("root", "seed")) == []

    def journal_with_why() -> str:
        said = machine.run("journalctl --output=export --all --no-pager").stdout
        return said if "status=6/ABRT" in said else ""

    journal = field.until("the journal says why", journal_with_why)
    assert not traces.in_text(journal, machines.azdo.pat)
    machines.azdo.clear_faults()
    machine.restart()
    machine.wait_online()
    assert _copies(machines, machine, machines.azdo.pat) == []


def test_r10_a_job_finds_no_copy_where_it_can_look(machines: Machines) -> None:
    """What the agent's user itself can read: every file it may open, every process it may look into, its environment."""
    _, (machine,) = machines.launch()
    half = len(machines.azdo.pat) // 2
    # The whole is put together by the shell and goes through a pipe: the job's own script and arguments are searched too.
    script = f"""
wanted={machines.azdo.pat[:half]}; wanted+={machines.azdo.pat[half:]}
holds() {{ LC_ALL=C grep -aqF -f <(printf '%s\\n' "$wanted") "$@" 2>/dev/null; }}
printf 'x%sx' "$wanted" | holds || exit 10
env | holds && exit 11
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | holds && exit 12
holds -r "$AGENT_HOMEDIRECTORY" /var/lib /var/log /etc /run/user /run/goldbake /run/log /home /tmp && exit 13
exit 0
"""
    request = machines.azdo.queue_job("Default", script=script)
    field.until("the job is done", lambda: machines.azdo.job(request)["state"] == "completed")
    assert machines.azdo.job(request)["result"] == "succeeded", machine.run(f"cat {field.AGENT}/_diag/Job_*.log").stdout


@pytest.mark.parametrize("form", traces.forms(SECRET), ids=["plain", "utf-16", "base64", "base64+1", "base64+2"])
@pytest.mark.parametrize("before", [0, 3, (8 << 20) - 7, (8 << 20) + 1])
def test_a_planted_copy_is_found_wherever_it_lies(tmp_path: Path, form: bytes, before: int) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"\1" * before + form + b"\1" * 100)
    assert traces.in_folder(tmp_path, SECRET) == [str(path)]
    path.write_bytes(b"\1" * before + form[:-1] + b"\1" * 100)
    assert traces.in_folder(tmp_path, SECRET) == []


def test_a_planted_copy_is_found_behind_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.seek(3 << 30)
        file.write(SECRET.encode())
        file.truncate(6 << 30)
    assert traces.in_file(path, SECRET)


@pytest.mark.parametrize("user", ["", "VstsAgent", "x", "somebody@example.test"])
def test_a_basic_credential_is_found_whatever_its_user(user: str) -> None:
    header = "Authorization: Basic " + base64.b64encode(f"{user}:{SECRET}".encode()).decode()
    assert traces.in_text(header, SECRET)
    assert not traces.in_text(header, SECRET[:-4] + "0000")


def test_the_sampler_sees_arguments_and_environments_of_any_process() -> None:
    with traces.sampler(SECRET) as sampled:
        nap = [sys.executable, "-c", "import time; time.sleep(5)"]
        careless = subprocess.Popen([*nap, SECRET])
        careful = subprocess.Popen(nap, env={"TOKEN": SECRET})
        careless.wait()
        careful.wait()
    seen = {(sighting.kind, sighting.pid) for sighting in sampled.sightings}
    assert {("cmdline", careless.pid), ("environ", careful.pid)} <= seen
    assert not any(SECRET in sighting.words + sighting.leader for sighting in sampled.sightings)
