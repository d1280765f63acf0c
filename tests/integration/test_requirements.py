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

ELSEWHERE = {
    1: (
        "a check of the image, run after every bake and on every boot of it",
        ["testinfra/test_agent.py::test_agent_is_not_configured", "testinfra/test_agent.py::test_agent_has_not_worked",
         "testinfra/test_agent.py::test_agent_has_no_service_yet"],
    ),
    2: (
        "a check of the image; the hash itself is checked where the tarball is fetched",
        ["testinfra/test_agent.py::test_agent_has_the_wanted_version", "testinfra/test_manifest.py::test_manifest_names_the_agents_sha256",
         "unit/test_fetch.py::*"],
    ),
    3: (
        "a check of the image, run on its files without network",
        ["testinfra/test_agent.py::test_agent_dependencies_are_installed", "testinfra/test_agent.py::test_libicu_is_found_by_the_linker",
         "testinfra/test_agent.py::test_agent_libraries_resolve"],
    ),
    5: (
        "a check of the image; that two machines get two names and keys is test_r13",
        ["testinfra/test_hygiene.py::test_machine_id_is_empty", "testinfra/test_hygiene.py::test_there_are_no_ssh_host_keys",
         "testinfra/test_hygiene.py::test_cloud_init_has_not_run"],
    ),
    30: (
        "a whole suite, which runs unchanged against the real agent when GOLDBAKE_AGENT_TARBALL names one",
        ["integration/test_agent_fidelity.py::*"],
    ),
}  # fmt: skip
"""Number → why no test bears it, and what tests it: `file::test`, or `file::*` for all tests of a file."""


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


def test_every_requirement_has_a_test_of_its_name_or_is_accounted_for() -> None:
    names = [name for of_file in _everything().values() for name in of_file]
    assert missing(names, ELSEWHERE) == []


def test_no_requirement_is_excused_that_has_a_test() -> None:
    names = [name for of_file in _everything().values() for name in of_file]
    assert numbers(names) & set(ELSEWHERE) == set()


@pytest.mark.parametrize("number", ELSEWHERE)
def test_what_tests_an_excused_requirement_exists(number: int) -> None:
    found = _everything()
    reason, tests = ELSEWHERE[number]
    assert reason
    for test in tests:
        path, _, name = test.partition("::")
        assert found.get(path), test
        assert name == "*" or name in found[path], test


def test_a_number_without_a_test_is_noticed() -> None:
    names = [f"test_r{number:02}_something" for number in NUMBERS if number not in (7, 16, 19)]
    assert missing(names, []) == [7, 16, 19]
    assert missing([*names, "test_r16_r19_both_at_once"], [7]) == []


def test_a_number_elsewhere_in_a_name_does_not_count() -> None:
    assert numbers(["test_something_of_r07", "test_r7_short", "test_r07"]) == set()
    assert functions("def test_r07_real(): ...\n'def test_r08_in_a_string(): ...'\n") == ["test_r07_real"]
