"""What goes wrong in a bake: nothing is left behind, the message says what to do, and the next run goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud
from goldbake.paths import PROJECT, Paths
from goldbake.plan import AgentSource, plan
from tests.integration import workshop
from tests.integration.conftest import BakedImage
from tests.integration.workshop import Workshop

pytestmark = pytest.mark.slow


@pytest.fixture
def empty(tmp_path: Path) -> Workshop:
    """A workshop that has to make everything but Packer and the toolkit."""
    made = workshop.make(tmp_path)
    _share(made, "toolchain")
    return made


@pytest.fixture
def tiny(empty: Workshop, baked_image: BakedImage) -> Workshop:
    """A workshop that has the base layer already."""
    paths = Paths.from_environment()
    config = load_config(paths.images_yaml, paths.scripts)
    base = plan(config, load_lock(paths.lock_yaml), baked_image.record.image, Cloud.LOCAL, paths.scripts, AgentSource.SIMULATED).base
    _share(empty, f"layers/{base}")
    return empty


def _share(made: Workshop, name: str) -> None:
    link = made.home / "cache" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Paths.from_environment().cache / name)


def _recorded(made: Workshop) -> list[str]:
    return [record["artifact"] for record in made.run("images", "--json").document()]


def test_script_that_fails_is_named_with_its_last_lines_and_the_layer_before_is_kept(tiny: Workshop) -> None:
    tiny.script("make-second", "echo about to fail\nfalse")
    failed = tiny.bake()
    tiny.script("make-second", "cat /etc/first > /etc/second")
    again = tiny.bake()
    assert failed.code == 1
    assert "image-scripts/make-second.sh failed" in failed.stderr
    assert "about to fail" in failed.stderr.partition("error:")[2]
    assert "hint: " in failed.stderr
    assert again.code == 0
    assert "make-first" not in again.stderr
    assert "second: make-second" in again.stderr
    assert "first" not in again.document()["seconds"]
    assert tiny.leftovers() == []


def test_second_bake_returns_the_same_record(tiny: Workshop) -> None:
    first = tiny.bake().document()
    started = time.monotonic()
    second = tiny.bake().document()
    seconds = time.monotonic() - started
    assert first["reused"] is False
    assert second == {**first, "reused": True}
    assert seconds < 30  # a second by design (bench.bake measures it)


def test_changed_artifact_is_not_offered_again(tiny: Workshop) -> None:
    artifact = Path(tiny.bake().document()["artifact"])
    before = _recorded(tiny)
    with artifact.open("r+b") as file:
        file.seek(4096)
        file.write(b"changed")
    after = _recorded(tiny)
    again = tiny.bake().document()
    assert before == [str(artifact)]
    assert after == []
    assert again["reused"] is False
    assert _recorded(tiny) == [again["artifact"]]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_in_a_layer_removes_everything_and_keeps_the_layers_before(tiny: Workshop, signum: signal.Signals, code: int) -> None:
    tiny.script("make-second", "echo waiting >&2\nsleep 600")
    with tiny.running("bake", "--no-check") as bake:
        bake.wait_for("second: make-second")
        time.sleep(1)
        ended = bake.end(signum)
        said = bake.said()
    left = tiny.leftovers()
    tiny.script("make-second", "true")
    again = tiny.bake()
    assert ended == code
    assert "hint: run the same command again" in said
    assert left == []
    assert again.code == 0
    assert "make-first" not in again.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_the_base_is_made_removes_everything(
    empty: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals, code: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with empty.running("bake", "--no-check") as bake:
        bake.wait_for("base …")
        time.sleep(4)
        assert bake.end(signum) == code
    assert empty.leftovers() == []
    assert list((empty.home / "cache" / "layers").glob("*")) == []
    assert list(temporary.glob("mmdebstrap.*")) == []


def test_signal_while_the_vm_boots_removes_everything(tiny: Workshop) -> None:
    with tiny.running("bake") as bake:
        bake.wait_for("check …")
        deadline = time.monotonic() + 300
        while not any("qemu-system" in words and str(tiny.work) in words for _, words in workshop.commands()):
            assert time.monotonic() < deadline, bake.said()
            time.sleep(0.1)
        assert bake.end(signal.SIGTERM) == 143
    assert tiny.leftovers() == []
    assert _recorded(tiny) == []


def test_run_after_a_killed_one_cleans_up_and_succeeds(tiny: Workshop) -> None:
    tiny.script("make-second", "sleep 600")
    with tiny.running("bake", "--no-check") as bake:
        bake.wait_for("second: make-second")
        time.sleep(1)
        bake.end(signal.SIGKILL)
    left = tiny.leftovers()
    tiny.script("make-second", "true")
    again = tiny.bake()
    assert any(found.startswith("mount") for found in left), "nothing was left to clean up: the test is worth nothing"
    assert any(found.startswith("process") for found in left)
    assert again.code == 0
    assert "removed after a killed run" in again.stderr
    assert tiny.leftovers() == []


def test_second_bake_at_the_same_time_says_who_holds_the_lock_and_gets_the_same_image(tiny: Workshop) -> None:
    tiny.script("make-second", "sleep 40")  # the second has this long to meet the first
    with tiny.running("bake", "--no-check") as first:
        first.wait_for("second: make-second")
        second = tiny.bake()
        assert first.wait() == 0
    assert second.code == 0
    assert f"process {first.child.pid} on" in second.stderr
    assert second.document()["reused"] is True


def test_mirror_that_cannot_be_reached_is_named(empty: Workshop, tmp_path: Path) -> None:
    listing = tmp_path / "sources.list"
    listing.write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    hide = (
        "mount -t tmpfs none /etc/apt/sources.list.d && touch /etc/apt/sources.list && "
        f'mount --bind {listing} /etc/apt/sources.list && exec "$@"'
    )
    made_by_us = not Path("/etc/apt/sources.list").exists()
    try:
        failed = empty.run("bake", "--no-check", before=("unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh"))
    finally:
        if made_by_us:
            Path("/etc/apt/sources.list").unlink(missing_ok=True)
    assert failed.code == 1
    assert "127.0.0.1:9" in failed.stderr.partition("error:")[2]
    assert "hint: " in failed.stderr
    assert empty.leftovers() == []


def test_full_disk_is_named_and_leaves_nothing(empty: Workshop) -> None:
    small = f'mount -t tmpfs -o size=200m none {empty.home}/cache/work && exec "$@"'
    (empty.home / "cache" / "work").mkdir()
    failed = empty.run("bake", "--no-check", before=("unshare", "--mount", "--propagation", "private", "sh", "-c", small, "sh"))
    assert failed.code == 1
    assert "No space left on device" in failed.stderr.partition("error:")[2]
    assert "hint: " in failed.stderr
    assert [found for found in empty.leftovers() if found != f"file {empty.work}"] == []


def test_bake_without_root_says_what_to_run(tiny: Workshop) -> None:
    failed = tiny.run("bake", before=("unshare", "--user"))
    assert failed.code == 4
    assert "needs root" in failed.stderr
    assert "hint: run `sudo ./inv bake`" in failed.stderr


def test_machine_whose_kvm_does_not_work_uses_emulation() -> None:
    """The device exists and can be opened, as in a container or a VM without nested virtualisation, and is of no use."""
    probe = f"{sys.executable} -c 'from goldbake.local import vm; print(vm.accelerator())'"
    hide = f"mount --bind /dev/null /dev/kvm && {probe}" if Path("/dev/kvm").exists() else probe
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide]
    assert subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60).stdout == "tcg\n"
