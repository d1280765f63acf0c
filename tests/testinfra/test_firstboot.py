"""First boot is complete, ready to run without a compiler, and has not run yet; jobs cannot reach the cloud's metadata service."""

from __future__ import annotations

import re

import pytest
from facts import Facts


@pytest.mark.image
def test_programs_can_be_run(image: Facts) -> None:
    assert image.lines("firstboot_programs") == []


@pytest.mark.image
def test_modules_are_compiled(image: Facts) -> None:
    """Otherwise each machine compiles them at its first boot, for a second or two on an emulated one."""
    assert image.codes["firstboot_compiled"] == 0, image.text("firstboot_compiled")
    assert image.lines("firstboot_compiled") == []


@pytest.mark.image
def test_modules_can_be_imported(image: Facts) -> None:
    """By the image's own Python, without the libraries of its distribution."""
    assert image.codes["firstboot_imports"] == 0, image.text("firstboot_imports")


@pytest.mark.pristine
def test_first_boot_has_not_run(pristine: Facts) -> None:
    """A status, or a time at which the machine ends, would be another machine's."""
    assert pristine.lines("firstboot_state") == []


@pytest.mark.pristine
def test_there_is_no_user_data(pristine: Facts) -> None:
    """What Azure's guest agents leave of it; what cloud-init leaves is checked in test_hygiene.py."""
    assert pristine.lines("user_data") == []


@pytest.mark.booted
def test_guard_can_be_loaded(machine: Facts) -> None:
    assert machine.codes["guard_check"] == 0, machine.text("guard_check")


@pytest.mark.booted
def test_guard_is_loaded(machine: Facts) -> None:
    rules = machine.text("guard_rules")
    assert "hook output" in rules
    assert "hook forward" in rules


@pytest.mark.booted
def test_metadata_service_is_blocked_for_the_agents_user(machine: Facts) -> None:
    """Seen at the rule's counter: an attempt that fails could have failed for want of a metadata service."""
    assert re.search(r"ip daddr 169\.254\.169\.254 counter packets [1-9]", machine.text("metadata_for_agent"))
