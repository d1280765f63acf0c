"""What the checks say is told as it is: red is red, nothing run is an error, and a host that is not there passes nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra

from goldbake import proc
from goldbake.check import SUITE, CheckReport, FailedCheck, Target, report_of, run_checks, ssh_config
from goldbake.errors import GoldbakeError, MissingError, ProcessError, UsageError
from goldbake.secret import Secret
from tests.servers import closed_port

pytestmark = pytest.mark.slow

UNUSED = Target.ssh("127.0.0.1", port=1)
"""A target for suites that do not look at it."""

MIXED = """
import json, os
from pathlib import Path
import pytest

def expected():
    return json.loads(Path(os.environ["GOLDBAKE_EXPECT"]).read_text())

@pytest.mark.image
@pytest.mark.parametrize("unit", ["a.timer", "b.service"])
def test_unit_is_known(unit):
    assert unit in expected()["units"]

@pytest.mark.image
def test_version_is_right():
    found = "1.2.3"
    assert found == expected()["version"], "the token is " + expected()["token"]

@pytest.fixture
def broken():
    raise RuntimeError("the probe ended with 255")

@pytest.mark.image
def test_fact_is_there(broken):
    pass

@pytest.mark.image
def test_does_not_apply():
    pytest.skip("not on this machine")

@pytest.mark.gpu
def test_of_another_kind():
    raise AssertionError
"""


def suite(folder: Path, text: str) -> Path:
    """A suite of one file, with the names and markers of the real one."""
    folder.mkdir(exist_ok=True)
    for name in ("pytest.ini", "conftest.py", "facts.py"):
        shutil.copy(SUITE / name, folder / name)
    (folder / "test_thing.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> CheckReport:
    token = Secret("hunter2-hunter2")
    expect = {"units": ["a.timer"], "version": "1.2.4", "token": token.reveal()}
    return run_checks(UNUSED, expect, markers=("image",), suite=suite(tmp_path_factory.mktemp("mixed"), MIXED))


ALONE = """
import pytest

@pytest.mark.image
@pytest.mark.parametrize("name", ["xdist", "_cov", "timeout"])
def test_plugin_of_this_project_has_no_say(name, pytestconfig):
    assert not pytestconfig.pluginmanager.has_plugin(name)

@pytest.mark.image
def test_testinfra_is_there(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("testinfra.plugin")
"""


def test_no_other_plugin_of_pytest_has_a_say(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("timeout")  # here they are
    report = run_checks(UNUSED, {}, markers=("image",), suite=suite(tmp_path, ALONE))
    assert report.failed == ()
    assert len(report.passed) == 4


def test_a_report_names_what_passed_failed_and_was_skipped(mixed: CheckReport) -> None:
    assert mixed.passed == ("thing.unit_is_known[a.timer]",)
    assert [check.name for check in mixed.failed] == ["thing.fact_is_there", "thing.unit_is_known[b.service]", "thing.version_is_right"]
    assert mixed.skipped == ("thing.does_not_apply",)


def test_a_red_check_says_what_it_saw(mixed: CheckReport) -> None:
    messages = {check.name: check.message for check in mixed.failed}
    assert "assert '1.2.3' == '1.2.4'" in messages["thing.version_is_right"]
    assert "the probe ended with 255" in messages["thing.fact_is_there"]


def test_a_red_check_tells_no_secret(mixed: CheckReport) -> None:
    assert "hunter2" not in str(mixed.document())


def test_a_report_is_a_document(mixed: CheckReport) -> None:
    document = mixed.document()
    assert document["passed"] == ("thing.unit_is_known[a.timer]",)
    assert document["failed"][0]["name"] == "thing.fact_is_there"
    assert document["seconds"] > 0


def test_equal_outcomes_have_equal_digests() -> None:
    one = report_of(["b", "a"], [FailedCheck("c", "found 1")], ["d"], 1.0)
    other = report_of(["a", "b"], [FailedCheck("c", "found 2")], ["d"], 2.0)
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "other",
    [
        report_of(["a"], [FailedCheck("c", "")], ["d"], 1),
        report_of(["a", "b", "c"], [], ["d"], 1),
        report_of(["a", "b", "d"], [FailedCheck("c", "")], [], 1),
        report_of(["a", "b"], [FailedCheck("d", "")], ["c"], 1),
    ],
)
def test_other_outcomes_have_other_digests(other: CheckReport) -> None:
    assert report_of(["a", "b"], [FailedCheck("c", "")], ["d"], 1).digest != other.digest


def test_joined_reports_are_the_report_of_all() -> None:
    files = report_of(["a"], [FailedCheck("x", "1")], ["s"], 1.0)
    machine = report_of(["b"], [FailedCheck("c", "2")], [], 2.0)
    assert files.joined(machine) == report_of(["a", "b"], [FailedCheck("c", "2"), FailedCheck("x", "1")], ["s"], 3.0)


@pytest.mark.parametrize("markers", [("image", "fast"), ()])
def test_an_unknown_kind_of_check_is_refused(markers: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="no such kind of check") as caught:
        run_checks(UNUSED, {}, markers=markers)
    assert "pristine" in caught.value.hint


def test_no_check_of_the_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GoldbakeError, match="no check was run"):
        run_checks(UNUSED, {}, markers=("booted",), suite=suite(tmp_path / "suite", MIXED))


def test_nothing_but_skipped_checks_is_an_error(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.image\ndef test_one():\n    pytest.skip('no')\n"
    with pytest.raises(GoldbakeError, match=r"no check was run \(1 skipped\)"):
        run_checks(UNUSED, {}, markers=("image",), suite=suite(tmp_path / "suite", text))


def test_a_suite_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no_such_module"):
        run_checks(UNUSED, {}, markers=("image",), suite=suite(tmp_path / "suite", "import no_such_module\n"))


@pytest.mark.parametrize("code", [0, 1])
def test_an_end_without_a_report_is_an_error(tmp_path: Path, code: int) -> None:
    text = f"import os, pytest\n@pytest.mark.image\ndef test_one():\n    os._exit({code})\n"
    with pytest.raises(GoldbakeError, match="ended without a report"):
        run_checks(UNUSED, {}, markers=("image",), suite=suite(tmp_path / "suite", text))


def test_checks_end_when_they_are_stopped(tmp_path: Path) -> None:
    text = "import time, pytest\n@pytest.mark.image\ndef test_one():\n    time.sleep(200)\n"
    stop = threading.Event()

    def on_line(line: str) -> None:
        if "test_one" in line or "collected" in line:
            stop.set()

    with pytest.raises(ProcessError):
        run_checks(UNUSED, {}, markers=("image",), suite=suite(tmp_path / "suite", text), on_line=on_line, stop=stop)
    assert stop.is_set()


def test_a_host_that_is_not_there_passes_nothing() -> None:
    report = run_checks(Target.ssh("127.0.0.1", port=int(closed_port().rpartition(":")[2])), {}, markers=("booted",))
    assert report.passed == ()
    assert len(report.failed) > 0
    assert all("Connection refused" in check.message for check in report.failed), report.failed


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        run_checks(Target.folder(tmp_path / "absent"), {}, markers=("image",))


def test_a_folder_needs_root_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="root rights"):
        run_checks(Target.folder(tmp_path), {}, markers=("image",))


def test_ssh_believes_only_the_known_host_key(tmp_path: Path) -> None:
    config = tmp_path / "config"
    target = Target.ssh("192.0.2.7", port=2200, user="admin", key=tmp_path / "a key", known_hosts=tmp_path / "known hosts")
    config.write_text(ssh_config(target, tmp_path))
    understood = dict(
        line.split(" ", 1) for line in proc.run(["ssh", "-G", "-F", config, "goldbake-target"]).stdout.splitlines() if " " in line
    )
    assert understood["hostname"] == "192.0.2.7"
    assert understood["port"] == "2200"
    assert understood["user"] == "admin"
    assert understood["stricthostkeychecking"] == "true"
    assert understood["userknownhostsfile"].strip('"') == str(tmp_path / "known hosts")
    assert understood["identityfile"].strip('"') == str(tmp_path / "a key")
    assert understood["identitiesonly"] == "yes"
    assert understood["batchmode"] == "yes"


@pytest.fixture(scope="module")
def facts() -> Iterator[Any]:
    """tests/testinfra/facts.py; it is no part of a package."""
    spec = importlib.util.spec_from_file_location("facts_of_testinfra", SUITE / "facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("printf '@@begin one\\nfirst\\n@@end one 0\\n'; exit 3", id="it fails"),
        pytest.param("printf '@@begin one\\nfirst\\n@@end one 0\\n'; kill -9 $$", id="it is killed"),
        pytest.param("true", id="it says nothing"),
    ],
)
def test_a_probe_that_stops_half_way_is_an_error(facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(facts, "PROBES", tmp_path)
    (tmp_path / "some.sh").write_text(script)
    with pytest.raises(RuntimeError, match=r"the probe some\.sh ended with"):
        facts.Facts.probe(testinfra.get_host("local://"), "some.sh")


def test_a_section_that_was_not_finished_is_no_fact(facts: Any) -> None:
    found = facts.Facts.parse("@@begin one\nfirst\n@@end one 0\n\n@@begin two\nhalf of it")
    assert found.lines("one") == ["first"]
    with pytest.raises(KeyError):
        found.lines("two")
