"""What Packer runs to check a machine: host keys first, then the checks, then the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goldbake.check import FailedCheck, report_of
from goldbake.errors import GoldbakeError
from goldbake.images import remote_check
from tests.standins import StandIns


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return StandIns(tmp_path / "standins", monkeypatch)


def test_host_keys_are_asked_for_until_the_machine_shows_them(programs: StandIns, tmp_path: Path) -> None:
    programs.program("ssh-keyscan", f'if [ -e {tmp_path}/up ]; then echo "[127.0.0.1]:2222 ssh-ed25519 AAAA"; else touch {tmp_path}/up; fi')
    waited: list[float] = []
    assert remote_check.host_keys("127.0.0.1", 2222, pause=waited.append) == "[127.0.0.1]:2222 ssh-ed25519 AAAA\n"
    assert waited == [5.0]
    assert programs.calls("ssh-keyscan")[0] == "-T 10 -p 2222 127.0.0.1"


def test_a_machine_that_shows_none_is_an_error(programs: StandIns) -> None:
    programs.program("ssh-keyscan", ":")
    waited: list[float] = []
    with pytest.raises(GoldbakeError, match=r"127\.0\.0\.1 port 22 shows no SSH host key"):
        remote_check.host_keys("127.0.0.1", 22, pause=waited.append)
    assert sum(waited) >= 50


def test_checks_that_cannot_run_are_an_exit_code_and_no_report(
    programs: StandIns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.program("ssh-keyscan", "echo a key")
    (tmp_path / "expect.json").write_text("{}")
    words = ["--folder", str(tmp_path), "--markers", "nosuch", "--host", "127.0.0.1", "--port", "1", "--user", "admin"]
    assert remote_check.main(words) == 2
    assert "error: no such kind of check: nosuch" in capsys.readouterr().err
    with pytest.raises(GoldbakeError, match="ended without a report"):
        remote_check.read_report(tmp_path)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = report_of(["a"], [FailedCheck("b", "it is red")], ["c"], 1.5)
    (tmp_path / remote_check.REPORT).write_text(json.dumps(report.document()))
    assert remote_check.read_report(tmp_path) == report
