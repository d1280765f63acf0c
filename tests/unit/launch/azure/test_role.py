"""The smallest role is enough: every launch and every removal is carried out by a fake that grants nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from goldbake.clouds.azure import role
from goldbake.clouds.azure.role import Purpose
from goldbake.clouds.failure import Failure
from goldbake.errors import Exit
from launch.azure.request import SYSTEM
from launch.base import Market
from tests.unit.launch.azure.conftest import ABROAD, HOME, TYPE, Field
from tests.unit.launch.azure.test_launch import given_group, given_subnet

LAUNCH, DESTROY = [Purpose.LAUNCH, Purpose.DESTROY], [Purpose.DESTROY]


def _under(field: Field, purposes: list[Purpose]) -> None:
    field.fake.book.granted = list(role.actions(purposes))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        lambda _: {},
        lambda _: {"public_address": True, "ssh_from": "203.0.113.7/32"},
        lambda _: {"market": Market.SPOT_FIRST, "regions": (HOME, ABROAD)},
        lambda field: {"subnet": given_subnet(field)},
        lambda field: {"resource_group": given_group(field)},
        lambda _: {"identity": SYSTEM},
    ],
    ids=["plain", "public", "spot", "subnet", "group", "identity"],
)
def test_a_launch_and_its_removal_need_nothing_but_the_role(
    azure_field: Field, count: int, options: Callable[[Field], dict[str, Any]]
) -> None:
    given = options(azure_field)
    _under(azure_field, LAUNCH)
    assert len(azure_field.launch(count=count, options=given).started) == count
    _under(azure_field, DESTROY)
    azure_field.destroy()
    assert azure_field.left() == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_launch_that_finds_no_room_anywhere_removes_what_it_tried(azure_field: Field, count: int) -> None:
    _under(azure_field, LAUNCH)
    for place in (HOME, *(f"{HOME}-{zone}" for zone in "123"), ABROAD, *(f"{ABROAD}-{zone}" for zone in "123")):
        azure_field.fake.capacity[place, TYPE, False] = 0
    with pytest.raises(Exception) as raised:  # noqa: PT011
        azure_field.launch(count=count)
    assert getattr(raised.value, "exit_code", None) is Exit.CAPACITY
    assert azure_field.left() == []


def test_without_one_action_of_the_role_the_launch_names_it(azure_field: Field) -> None:
    needed = "Microsoft.Compute/virtualMachines/write"
    azure_field.fake.book.granted = [action for action in role.actions(LAUNCH) if action != needed]
    with pytest.raises(Failure) as raised:
        azure_field.launch()
    assert raised.value.exit_code is Exit.MISSING
    assert needed in raised.value.message
    assert "azure-role.json" in raised.value.hint
    assert azure_field.left() == []
