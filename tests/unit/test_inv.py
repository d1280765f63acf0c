"""./inv itself: without a Python that is new enough, and with a virtual environment that fits."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goldbake.paths import PROJECT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "inv").write_bytes((PROJECT / "inv").read_bytes())
    (tmp_path / "inv").chmod(0o755)
    (tmp_path / "requirements.lock").write_text("a==1\n")
    (tmp_path / "bin").mkdir()
    for name in ("dirname", "cmp", "rm", "cp", "sh"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    return tmp_path


def _program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _inv(checkout: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "inv", *words], env={"PATH": str(checkout / "bin"), **env}, capture_output=True, text=True, check=False
    )


def test_machine_without_python_is_told_what_to_install(checkout: Path) -> None:
    done = _inv(checkout, "bake")
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "error: no Python 3.11 or newer was found"
    assert "apt-get install python3" in done.stderr.splitlines()[1]


def test_python_that_is_too_old_is_not_taken(checkout: Path) -> None:
    _program(checkout / "bin" / "python3", "exit 1")
    assert "no Python 3.11 or newer" in _inv(checkout, "bake").stderr


def test_python_without_venv_is_told_which_package_to_install(checkout: Path) -> None:
    _program(checkout / "bin" / "python3", '[ "$1" = -c ]')
    done = _inv(checkout, "bake")
    assert done.returncode == 4
    assert "hint: apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_fitting_environment_is_used_without_a_word(checkout: Path) -> None:
    _program(checkout / ".venv" / "bin" / "python", 'printf "%s\\n" "$@"')
    (checkout / ".venv" / "goldbake.lock").write_text("a==1\n")
    done = _inv(checkout, "images", "--json")
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["-m", "invoke", "--search-root", str(checkout), "images", "--json"]


def test_what_python_compiles_is_kept(checkout: Path) -> None:
    _program(checkout / ".venv" / "bin" / "python", 'printf "%s\n" "${PYTHONDONTWRITEBYTECODE-kept}"')
    (checkout / ".venv" / "goldbake.lock").write_text("a==1\n")
    assert _inv(checkout, "images", PYTHONDONTWRITEBYTECODE="1").stdout == "kept\n"


def test_changed_lock_file_makes_a_new_environment(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "goldbake.lock").write_text("a==0\n")
    (checkout / ".venv" / "old").touch()
    _program(
        checkout / "bin" / "python3",
        f'[ "$1" = -c ] && exit 0\n/usr/bin/mkdir -p {checkout}/.venv/bin\n/usr/bin/cp {checkout}/fake {checkout}/.venv/bin/python',
    )
    _program(checkout / "fake", "exit 0")
    done = _inv(checkout, "bake")
    assert done.returncode == 0, done.stderr
    assert not (checkout / ".venv" / "old").exists()
    assert (checkout / ".venv" / "goldbake.lock").read_text() == "a==1\n"


def test_first_calls_at_the_same_time_make_one_environment(checkout: Path) -> None:
    (checkout / "bin" / "flock").symlink_to("/usr/bin/flock")
    _program(
        checkout / "bin" / "python3",
        f'[ "$1" = -c ] && exit 0\necho made >>{checkout}/log\n/usr/bin/mkdir -p {checkout}/.venv/bin\n/usr/bin/cp {checkout}/fake {checkout}/.venv/bin/python',
    )
    _program(checkout / "fake", "/usr/bin/sleep 0.3")
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(_inv, checkout, "bake") for _ in range(3)]
        assert [call.result().returncode for call in calls] == [0, 0, 0]
    assert (checkout / "log").read_text() == "made\n"


def test_packages_that_cannot_be_installed_leave_no_half_environment(checkout: Path) -> None:
    _program(
        checkout / "bin" / "python3",
        f'[ "$1" = -c ] && exit 0\n/usr/bin/mkdir -p {checkout}/.venv/bin\n/usr/bin/cp {checkout}/fake {checkout}/.venv/bin/python',
    )
    _program(checkout / "fake", "exit 1")
    done = _inv(checkout, "bake")
    assert done.returncode == 4
    assert "could not be installed" in done.stderr
    assert not (checkout / ".venv").exists()
