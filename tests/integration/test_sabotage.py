"""A check is worth nothing until it has been seen red: every one is, by a change that only it may notice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from goldbake.check import SUITE, CheckReport, Target, run_checks
from tests.integration.conftest import BakedImage, BootedImage
from tests.integration.sabotage import BOOTED, FILES, HARMLESS, Sabotage, sabotaged, script_of

_COLLECT = """
import json, sys, pytest
class Names:
    def pytest_collection_finish(self, session):
        print("NAMES" + json.dumps([dict(item.user_properties)["check"] for item in session.items]))
suite, marker = sys.argv[1:]
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-c", suite + "/pytest.ini", "--rootdir=" + suite, "-m", marker, suite], [Names()]))
"""


def names_of(marker: str) -> list[str]:
    """The names of the checks that have a marker."""
    done = subprocess.run([sys.executable, "-c", _COLLECT, str(SUITE), marker], capture_output=True, text=True, check=True, cwd=SUITE)
    line = next(line for line in done.stdout.splitlines() if line.startswith("NAMES"))
    return sorted(json.loads(line.removeprefix("NAMES")))


def test_every_check_of_files_has_a_sabotage() -> None:
    assert sorted(FILES) == names_of("image or pristine")


def test_every_check_of_a_booted_machine_has_a_sabotage() -> None:
    assert sorted(BOOTED) == names_of("booted")


def test_only_checks_that_need_a_gpu_are_left() -> None:
    assert sorted([*FILES, *BOOTED]) == names_of("not gpu")


def test_a_sabotage_that_reddens_others_says_why() -> None:
    assert [name for name, row in {**FILES, **BOOTED}.items() if bool(row.also) != bool(row.because)] == []


def red(report: CheckReport) -> dict[str, str]:
    return {check.name: check.message for check in report.failed}


def wanted_red(name: str, sabotage: Sabotage) -> list[str]:
    return sorted([name, *sabotage.also])


@pytest.mark.slow
def test_untouched_image_is_green(baked_image: BakedImage, tmp_path: Path) -> None:
    with sabotaged(baked_image.root, Sabotage("true"), tmp_path) as copy:
        report = run_checks(Target.folder(copy), baked_image.manifest, markers=("image", "pristine"))
    assert red(report) == {}
    assert sorted(report.passed) == sorted(FILES)


@pytest.mark.slow
@pytest.mark.parametrize("change", HARMLESS)
def test_harmless_change_makes_nothing_red(change: str, baked_image: BakedImage, tmp_path: Path) -> None:
    with sabotaged(baked_image.root, HARMLESS[change], tmp_path) as copy:
        report = run_checks(Target.folder(copy), baked_image.manifest, markers=("image", "pristine"))
    assert red(report) == {}


@pytest.mark.slow
def test_probe_that_is_killed_half_way_makes_nothing_green(baked_image: BakedImage, tmp_path: Path) -> None:
    killer = Sabotage("printf '#!/bin/sh\\nkill -9 $PPID\\n' >/usr/bin/apt-mark")
    with sabotaged(baked_image.root, killer, tmp_path) as copy:
        report = run_checks(Target.folder(copy), baked_image.manifest, markers=("image", "pristine"))
    without_facts = {
        "manifest.manifest_is_a_json_object",
        "manifest.manifest_agrees_with_what_was_asked",
        "manifest.manifest_names_the_agents_sha256",
    }
    assert set(report.passed) == without_facts
    assert len(red(report)) == len(FILES) - len(without_facts)
    assert "the probe image.sh ended with" in red(report)["driver.nouveau_is_blacklisted"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_sabotaged_files_make_exactly_this_check_red(name: str, baked_image: BakedImage, tmp_path: Path) -> None:
    sabotage = FILES[name]
    with sabotaged(baked_image.root, sabotage, tmp_path) as copy:
        asked = baked_image.manifest if sabotage.asked else {}
        report = run_checks(Target.folder(copy), asked, markers=("image", "pristine"))
    assert sorted(red(report)) == wanted_red(name, sabotage), red(report)


@pytest.mark.slow
def test_untouched_machine_is_green(booted_image: BootedImage, baked_image: BakedImage) -> None:
    report = run_checks(booted_image.target, baked_image.manifest, markers=("booted",))
    assert red(report) == {}
    assert sorted(report.passed) == sorted(BOOTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOTED)
def test_sabotaged_machine_makes_exactly_this_check_red(name: str, booted_image: BootedImage, baked_image: BakedImage) -> None:
    sabotage = BOOTED[name]
    done = booted_image.run(script_of(sabotage.script))
    try:
        assert done.code == 0, done
        report = run_checks(booted_image.target, baked_image.manifest, markers=("booted",))
    finally:
        undone = booted_image.run(script_of(sabotage.undo))
    assert undone.code == 0, undone
    assert sorted(red(report)) == wanted_red(name, sabotage), red(report)
