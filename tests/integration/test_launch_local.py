"""Machines of this machine: they start, they are found, and nothing of them is left, whenever the launcher was killed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.clouds.failure import Failure
from goldbake.config.model import Cloud
from goldbake.errors import Exit
from goldbake.local import cgroups, leftovers
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.secret import Secret
from launch import service
from launch.local import Engine, LocalLauncher, LocalOptions
from launch.service import LaunchReport, LaunchRequest
from tests.integration import tinyimage
from tests.integration.tinyimage import MarkedAgents
from tests.unit.launch.crash import was_killed

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="containers and mounts need root")]

PAT = "pat-of-the-local-launch-tests-0123456789"
CONTAINER = LocalOptions(engine=Engine.CONTAINER)
VM = LocalOptions(engine=Engine.VM, memory_mib=256)


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    made = Paths(tmp_path / "project", tmp_path / "cache", tmp_path / "state")
    tinyimage.make(made)
    yield made
    _destroy_all(made)
    assert _everything(made) == []


def _request(**changes: Any) -> LaunchRequest:
    plain = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret(PAT), image="tiny", timeout=120, local=CONTAINER)
    return replace(plain, **changes)


def _launch(paths: Paths, launch_id: str = "l1", **changes: Any) -> LaunchReport:
    directory = MarkedAgents(service.instances_folder(paths))
    return service.launch(paths, Progress(io.StringIO()), _request(**changes), directory=nullcontext(directory), new_id=lambda: launch_id)


def _remove(paths: Paths, plan: service.RemovalPlan, *, cautious: bool = False) -> service.RemovalReport:
    directory = MarkedAgents(service.instances_folder(paths))
    return service.destroy(paths, Progress(io.StringIO()), plan, None, open_directory=lambda _: nullcontext(directory), cautious=cautious)


def _destroy(paths: Paths, launch_id: str) -> service.RemovalReport:
    return _remove(paths, service.plan_destroy(paths, [Cloud.LOCAL], launch_id))


def _destroy_all(paths: Paths) -> None:
    _remove(paths, service.plan_destroy(paths, [Cloud.LOCAL], None, everything=True)).require_nothing_left()


def _everything(paths: Paths, launch_id: str = "") -> list[str]:
    """What this machine has of our launches, by means that are not the launcher's own."""
    folder = service.instances_folder(paths) / launch_id if launch_id else service.instances_folder(paths)
    marker = f"{folder}/"
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if marker in words and not words.startswith("tail"):
            processes.append(words.replace("\0", " "))
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if marker in line]
    groups = [name for name in cgroups.named("goldbake-l") if not launch_id or name.startswith(f"goldbake-{launch_id}-")]
    files = [str(path) for path in folder.rglob("*")] if folder.exists() else []
    loops = [] if launch_id else leftovers.loop_devices_of(paths.cache)
    return processes + mounts + groups + files + loops


def test_a_container_starts_is_listed_and_goes_without_a_trace(paths: Paths) -> None:
    report = _launch(paths)
    (started,) = report.started
    assert started.online
    assert started.agent == "goldbake-l1-1"
    assert list(started.marks) == sorted(started.marks, key=lambda name: started.marks[name])
    (instance,) = service.instances(paths, [Cloud.LOCAL])
    assert (instance.id, instance.state, instance.kind) == ("l1-1", "running", "container")
    assert "uid=0" in proc.run(["sh", "-c", f"{started.instance.reach} /proc/self/exe 2>/dev/null; id"]).stdout
    _destroy(paths, "l1").require_nothing_left()
    assert _everything(paths) == []
    assert service.entries(paths) == []


def test_eight_containers_share_one_mount_of_the_image(paths: Paths) -> None:
    report = _launch(paths, count=8)
    assert len({started.agent for started in report.started}) == 8
    assert all(started.online for started in report.started)
    assert len(leftovers.loop_devices_of(paths.cache)) == 1
    report_of_removal = _destroy(paths, "l1")
    report_of_removal.require_nothing_left()
    assert _everything(paths) == []


def test_the_image_stays_mounted_until_its_last_user_has_gone(paths: Paths) -> None:
    _launch(paths, "l1")
    _launch(paths, "l2")
    _destroy(paths, "l1").require_nothing_left()
    assert [instance.state for instance in service.instances(paths, [Cloud.LOCAL])] == ["running"]
    assert len(leftovers.loop_devices_of(paths.cache)) == 1
    _destroy(paths, "l2").require_nothing_left()
    assert _everything(paths) == []


def test_containers_of_other_launches_and_readers_of_logs_are_left_alone(paths: Paths) -> None:
    _launch(paths, "l1")
    _launch(paths, "l2")
    log = service.instances_folder(paths) / "l1/1/console.log"
    with subprocess.Popen(["tail", "-n", "+1", "-f", log], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()  # it has the file open
        _destroy(paths, "l1").require_nothing_left()
        assert reader.poll() is None
        reader.kill()
    assert _everything(paths, "l1") == []
    assert [(instance.id, instance.state) for instance in service.instances(paths, [Cloud.LOCAL])] == [("l2-1", "running")]


def test_a_container_has_a_network_of_its_own_and_the_hosts_loopback_only_when_the_service_is_there(paths: Paths) -> None:
    for launch_id, organization, code, patience in (("l1", "https://127.0.0.1:1/demo", 0, 60), ("l2", "https://service.test/demo", 1, 2)):
        _launch(paths, launch_id, organization=organization)
        netns = service.instances_folder(paths) / launch_id / "1/netns"
        assert "10.0.2.100/24" in proc.run(["nsenter", f"--net={netns}", "ip", "-brief", "address", "show", "tap0"]).stdout
        with _listener() as port:
            asked = f"import socket; socket.create_connection(('10.0.2.2', {port}), {patience}).recv(1) == b'x' or exit(1)"
            assert proc.run(["nsenter", f"--net={netns}", "python3", "-c", asked], check=False).code == code


def test_the_pat_is_nowhere_once_the_agent_is_online(paths: Paths) -> None:
    report = _launch(paths)
    assert report.notes == ()
    _assert_no_pat(paths)


def test_a_seed_that_was_not_wiped_inside_is_wiped_from_outside(paths: Paths) -> None:
    tinyimage.make(paths, name="careless", files={"etc/leaves-the-seed": ""})
    report = _launch(paths, image="careless")
    assert report.notes == ("l1-1 had not wiped its user-data; it was wiped from outside",)
    _assert_no_pat(paths)


def test_a_first_boot_that_fails_removes_everything_and_keeps_the_console(paths: Paths) -> None:
    tinyimage.make(paths, name="refused", files={"etc/refused": ""})
    with pytest.raises(Failure, match=r"first boot of l1-. failed \(auth\): no") as caught:
        _launch(paths, image="refused", count=2)
    assert caught.value.exit_code is Exit.MISSING
    assert _everything(paths) == []
    assert "goldbake-status" in (paths.state / "failed-launches/l1/l1-1.log").read_text()


def test_a_container_that_ends_by_itself_is_not_waited_for(paths: Paths) -> None:
    tinyimage.make(paths, name="broken", files={"etc/broken": ""})
    began = time.monotonic()
    with pytest.raises(Failure, match=r"ended by itself|did not start"):
        _launch(paths, image="broken")
    assert time.monotonic() - began < 100  # of 120
    assert _everything(paths) == []


def test_a_container_that_was_switched_off_is_listed_as_stopped_and_reaped_in_time(paths: Paths) -> None:
    report = _launch(paths, ttl=600)
    os.kill(int(report.started[0].instance.reach.rpartition(" ")[2]), signal.SIGKILL)
    _until(lambda: service.instances(paths, [Cloud.LOCAL])[0].state == "stopped")
    assert not service.plan_reap(paths, [Cloud.LOCAL])
    plan = service.plan_reap(paths, [Cloud.LOCAL], now=lambda: report.expires + 1.0)
    _remove(paths, plan, cautious=True).require_nothing_left()
    assert _everything(paths) == []


def test_a_vm_starts_with_a_private_seed_and_goes_without_a_trace(paths: Paths) -> None:
    _launch(paths, local=VM, wait=False)
    folder = service.instances_folder(paths) / "l1/1"
    assert (folder / "seed.img").stat().st_mode & 0o777 == 0o600
    assert PAT.encode() in (folder / "seed.img").read_bytes()
    (instance,) = service.instances(paths, [Cloud.LOCAL])
    assert (instance.state, instance.kind, instance.reach) == ("running", "vm", "")
    assert not any(PAT in words for words in _command_lines())
    launcher = LocalLauncher(paths, VM)
    assert launcher.seal(instance) == "l1-1 had not wiped its user-data; it was wiped from outside"
    _assert_no_pat(paths)
    _destroy(paths, "l1").require_nothing_left()
    assert _everything(paths) == []


def test_an_ssh_key_opens_a_port_of_the_loopback_to_a_vm(paths: Paths) -> None:
    report = _launch(paths, local=replace(VM, ssh_key="ssh-ed25519 AAAA me"), wait=False)
    reach = report.started[0].instance.reach
    assert reach.startswith("ssh -p ")
    (qemu,) = [words for words in _command_lines() if f"{service.instances_folder(paths)}/" in words and words.startswith("qemu")]
    assert f"hostfwd=tcp:127.0.0.1:{reach.split()[2]}-:22" in qemu


def test_a_vm_that_qemu_refuses_leaves_nothing(paths: Paths) -> None:
    with pytest.raises(Failure, match="qemu") as caught:
        _launch(paths, local=replace(VM, cpus=100_000), wait=False)
    assert caught.value.hint
    assert _everything(paths) == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", [CONTAINER, VM], ids=["container", "vm"])
def test_a_launcher_killed_before_or_after_anything_it_does_leaves_nothing_to_reap(paths: Paths, options: LocalOptions) -> None:
    _launch(paths, "l0", local=CONTAINER)  # somebody else's, which has to survive all of it
    at, died = 0, True
    while died:
        at += 1
        died = _killed_at(at, lambda: _launch(paths, "l1", local=options, wait=options is CONTAINER))
        if died:
            time.sleep(0.1)  # what the dead one had started may still be at work
            assert [doomed.launch_id for doomed in service.plan_reap(paths, [Cloud.LOCAL]).launches] in (["l1"], [])
            _remove(paths, service.plan_reap(paths, [Cloud.LOCAL]), cautious=True).require_nothing_left()
            assert not service.plan_reap(paths, [Cloud.LOCAL])
        if any(entry.launch_id == "l1" for entry in service.entries(paths)):  # killed when it was complete, or not at all
            _destroy(paths, "l1").require_nothing_left()
        assert _everything(paths, "l1") == [], f"killed at step {at}"
        assert [(instance.id, instance.state) for instance in service.instances(paths, [Cloud.LOCAL])] == [("l0-1", "running")]
    assert at > 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", [CONTAINER, VM], ids=["container", "vm"])
def test_a_destroy_killed_before_or_after_anything_it_does_is_finished_by_reap(paths: Paths, options: LocalOptions) -> None:
    at, died = 0, True
    while died:
        at += 1
        _launch(paths, "l1", local=options, wait=options is CONTAINER)
        died = _killed_at(at, lambda: _destroy(paths, "l1"))
        if died:
            _remove(paths, service.plan_reap(paths, [Cloud.LOCAL]), cautious=True)
            _destroy_all(paths)  # a destroy that had not begun
        assert _everything(paths) == [], f"killed at step {at}"
        assert not service.plan_reap(paths, [Cloud.LOCAL])


def _killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that is killed at the `step`th moment before or after a program or a change of files; False when it ended first."""

    def doomed() -> None:
        _kill_at(step)
        work()

    return was_killed(doomed)


def _kill_at(step: int) -> None:
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            tick()
            done = real(*args, **more)
            tick()
            return done

        return call

    proc.run, proc.detached = counted(proc.run), counted(proc.detached)  # type: ignore[assignment]
    shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
    for name in ("mkdir", "replace", "rmdir", "unlink", "touch", "write_text"):
        setattr(Path, name, counted(getattr(Path, name)))


class _listener:
    """A port of the host's loopback that says x."""

    def __enter__(self) -> int:
        program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\nwhile True: s.accept()[0].send(b'x')"
        self._child = subprocess.Popen(["python3", "-c", program], stdout=subprocess.PIPE)
        assert self._child.stdout is not None
        return int(self._child.stdout.readline())

    def __exit__(self, *_: object) -> None:
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._child.kill()
        self._child.wait()


def _command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            found.append((path / "environ").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def _assert_no_pat(paths: Paths) -> None:
    for path in (paths.state, paths.cache):
        for file in path.rglob("*"):
            if file.is_file() and not file.is_symlink() and ".images" not in file.parts and file.name != "netns":
                assert PAT.encode() not in file.read_bytes(), file
    assert not any(PAT in text for text in _command_lines())
    assert json.dumps(PAT) not in "".join(path.read_text() for path in service.launches(paths).glob("*.json"))


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
