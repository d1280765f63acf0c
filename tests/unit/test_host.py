"""What a bake needs from this machine."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goldbake import host, proc
from goldbake.azdo import credentials
from goldbake.config.model import Cloud
from goldbake.errors import MissingError
from goldbake.finding import Finding
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths

NEEDED = {"mmdebstrap": "mmdebstrap", "surely-not-there": "a-package"}


def test_missing_program_is_named_with_its_package() -> None:
    assert host.absent({"sh": "dash", "surely-not-there": "a-package"}) == {"surely-not-there": "a-package"}


def test_nothing_happens_when_everything_is_there() -> None:
    said = io.StringIO()
    host.ensure_packages({"sh": "dash"}, Progress(said))
    assert said.getvalue() == ""


def test_user_without_root_gets_the_exact_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError) as error:
        host.ensure_packages({"surely-not-there": "a-package"}, Progress(io.StringIO()))
    assert "surely-not-there" in error.value.message
    assert error.value.hint == "run `sudo apt-get install --no-install-recommends a-package`"


def _stand_in_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, *, brings: bool) -> Path:
    """An apt-get that writes down its arguments and brings the program, or does not."""
    bin, log = folder / "bin", folder / "log"
    bin.mkdir()
    bring = f"printf '#!/bin/sh\\n' >{bin}/surely-not-there; chmod +x {bin}/surely-not-there" if brings else ":"
    (bin / "apt-get").write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >>{log}\n[ "$1" = update ] || {{ {bring}; }}\n')
    (bin / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "_APT_LOCK", folder / "apt.lock")
    return log


def test_root_gets_what_is_missing_installed_and_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _stand_in_apt(tmp_path, monkeypatch, brings=True)
    said = io.StringIO()
    host.ensure_packages({"surely-not-there": "a-package"}, Progress(said))
    assert said.getvalue().startswith("installing with apt: a-package\n")
    assert log.read_text().splitlines() == [
        "noninteractive update -q -o DPkg::Lock::Timeout=600",
        "noninteractive install -q -y --no-install-recommends a-package -o DPkg::Lock::Timeout=600",
    ]


def test_what_another_process_has_installed_meanwhile_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _stand_in_apt(tmp_path, monkeypatch, brings=True)
    said = io.StringIO()
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(host.ensure_packages, {"surely-not-there": "a-package"}, Progress(said)) for _ in range(4)]:
            done.result()
    assert len(log.read_text().splitlines()) == 2


def test_package_that_does_not_bring_its_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in_apt(tmp_path, monkeypatch, brings=False)
    with pytest.raises(MissingError, match="surely-not-there"):
        host.ensure_packages({"surely-not-there": "a-package"}, Progress(io.StringIO()))


def test_doctor_names_each_missing_program_and_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "BAKE", {"sh": "dash", "surely-not-there": "a-package", "qemu-system-x86_64": "qemu-system-x86"})
    monkeypatch.setattr(host, "NEEDED_BYTES", 1 << 62)
    rows = {row.what: row for row in host.examine(Paths(tmp_path, tmp_path / "cache", tmp_path / "state"))}
    assert rows["sh"].good
    assert rows["surely-not-there"].fix == "sudo apt-get install --no-install-recommends a-package"
    assert "GOLDBAKE_HOME" in rows["disk"].fix


def test_doctor_says_how_to_have_azure_devops_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZP_URL", "AZP_TOKEN", "AZP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    row = host.examine(Paths(tmp_path, tmp_path / "cache", tmp_path / "state"))[-1]
    assert (row.what, row.state, row.required) == ("Azure DevOps", "not configured", False)
    assert "AZP_URL" in row.fix


def test_doctor_tells_of_a_wrong_organization_and_a_bake_does_not_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_taken", {})
    monkeypatch.setenv("AZP_TOKEN", "not-sent-to-anybody")
    row = host.examine(Paths(tmp_path, tmp_path / "cache", tmp_path / "state"), organization="http://tfs.example/foo", pool="gpu")[-1]
    assert (row.what, row.good, row.required) == ("organization", False, False)
    assert "http://tfs.example/foo" in row.state


@pytest.mark.parametrize("cloud", Cloud)
def test_doctor_knows_every_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    monkeypatch.setattr(host, f"_{cloud}", lambda *_: [Finding(cloud, "was looked at")])
    rows = host.examine(Paths(tmp_path, tmp_path / "cache", tmp_path / "state"), (cloud,))
    assert [row.what for row in rows] == [cloud, "Azure DevOps"]


def test_a_bake_does_not_import_http() -> None:
    """It takes a tenth of a second, and a bake with nothing to do takes less."""
    code = "import sys, goldbake.host, goldbake.bake; sys.exit('httpx' in sys.modules)"
    assert proc.run([sys.executable, "-c", code], cwd=PROJECT, check=False).code == 0


def test_doctor_passes_when_only_wishes_are_open() -> None:
    host.require_fit([Finding("mmdebstrap", "yes"), Finding("virtualisation", "TCG", "none needed", required=False)])


def test_doctor_fails_with_the_first_fix() -> None:
    with pytest.raises(MissingError) as error:
        host.require_fit([Finding("mmdebstrap", "missing", "install it"), Finding("disk", "full", "free it")])
    assert error.value.hint == "install it"
    assert error.value.message == "2 requirements are not met: mmdebstrap, disk"
    with pytest.raises(MissingError, match=r"^1 requirement is not met: disk$"):
        host.require_fit([Finding("disk", "full", "free it")])
