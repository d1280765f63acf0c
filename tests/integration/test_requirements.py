"""Every one of the 30 requirements of first boot is tested by something that bears its number, or is named here with the reason."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
NUMBERS = range(1, 31)

IN_THE_IMAGE = {
    1: ["test_agent.py::test_agent_is_not_configured", "test_agent.py::test_agent_has_not_worked", "test_agent.py::test_agent_has_no_service_yet"],
    2: ["test_agent.py::test_agent_has_the_wanted_version", "test_manifest.py::test_manifest_names_the_agents_sha256"],
    3: ["test_agent.py::test_agent_dependencies_are_installed", "test_agent.py::test_libicu_is_found_by_the_linker",
        "test_agent.py::test_agent_libraries_resolve"],
    4: ["test_agent.py::test_agent_root_belongs_to_the_agent_user", "test_agent.py::test_agent_root_is_closed_to_others",
        "test_agent.py::test_agent_safety_switches_are_set_nowhere"],
    5: ["test_hygiene.py::test_machine_id_is_empty", "test_hygiene.py::test_there_are_no_ssh_host_keys", "test_hygiene.py::test_cloud_init_has_not_run"],
    20: ["test_firstboot.py::test_metadata_service_is_blocked_for_the_agents_user"],
}  # fmt: skip
"""Requirements of the baked image itself: besides the tests of their number, these checks run after every bake and against any host."""

EXCUSED = {
    30: (
        "a whole suite, which runs unchanged against the real agent when GOLDBAKE_AGENT_TARBALL names one",
        "integration/test_agent_fidelity.py",
    ),
}
"""Number → why no test bears it, and the file whose tests are about it."""


def functions(text: str) -> list[str]:
    """The test functions of a module."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in found if node.name.startswith("test_")]


def numbers(names: Iterable[str]) -> set[int]:
    """The requirements that these tests are named after: `test_r15_r18_…` is named after two."""
    found = set()
    for name in names:
        head = re.match(r"test((?:_r\d\d)+)_", name)
        found |= {int(number) for number in re.findall(r"\d\d", head.group(1))} if head else set()
    return found


def missing(names: Iterable[str], elsewhere: Iterable[int]) -> list[int]:
    return sorted(set(NUMBERS) - numbers(names) - set(elsewhere))


@functools.cache
def _everything() -> dict[str, list[str]]:
    return {str(path.relative_to(TESTS)): functions(path.read_text()) for path in sorted(TESTS.rglob("test_*.py"))}


def _names() -> list[str]:
    return [name for of_file in _everything().values() for name in of_file]


def test_every_requirement_has_a_test_of_its_name_or_is_accounted_for() -> None:
    assert missing(_names(), EXCUSED) == []


def test_no_requirement_is_excused_that_has_a_test() -> None:
    assert numbers(_names()) & set(EXCUSED) == set()


@pytest.mark.parametrize("number", EXCUSED)
def test_what_tests_an_excused_requirement_exists(number: int) -> None:
    reason, path = EXCUSED[number]
    assert reason
    assert _everything()[path]


@pytest.mark.parametrize("number", IN_THE_IMAGE)
def test_the_checks_of_a_requirement_of_the_image_exist(number: int) -> None:
    for check in IN_THE_IMAGE[number]:
        path, _, name = check.partition("::")
        assert name in _everything()[f"testinfra/{path}"], check


def test_a_number_without_a_test_is_noticed() -> None:
    names = [f"test_r{number:02}_something" for number in NUMBERS if number not in (7, 16, 19)]
    assert missing(names, []) == [7, 16, 19]
    assert missing([*names, "test_r16_r19_both_at_once"], [7]) == []


def test_a_number_elsewhere_in_a_name_does_not_count() -> None:
    assert numbers(["test_something_of_r07", "test_r7_short", "test_r07"]) == set()
    assert functions("def test_r07_real(): ...\n'def test_r08_in_a_string(): ...'\n") == ["test_r07_real"]
