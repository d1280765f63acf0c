"""A launcher on Compute Engine that dies at any call leaves nothing that reap does not remove, and reap touches nothing of others.

What is there changes only with the calls that change something: dying between two others is dying after the first of them. The wait for an
operation counts as one of them here, since a launcher that dies in it does not know what came of its call.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

import pytest

from goldbake.clouds.gcp.session import Gcp
from goldbake.errors import GoldbakeError
from tests.unit.launch.crash import everything_lost, killed, moments, reap_leaves_only, remove_in_vain
from tests.unit.launch.gcp.conftest import Field
from tests.unit.launch.gcp.test_removal import foreign

pytestmark = pytest.mark.slow

ALONE = ("firewalls.insert", "globalOperations.wait", "instances.insert", "zoneOperations.wait", "instances.get", "instances.setMetadata")
TOGETHER = ("regionInstances.bulkInsert", "regionOperations.wait", "instances.aggregatedList", "instances.setMetadata")
_SSH = {"ssh_from": "203.0.113.7/32"}


def test_these_are_the_calls_that_change_anything(gcp_field: Field) -> None:
    gcp_field.launch("l1", options=_SSH)
    assert set(gcp_field.changes()) <= set(ALONE)
    gcp_field.fake.calls.clear()
    gcp_field.launch("l2", count=2)
    assert set(gcp_field.changes()) <= set(TOGETHER)


@pytest.mark.parametrize(("count", "options", "methods"), [(1, _SSH, ALONE), (2, {}, TOGETHER)], ids=["alone", "together"])
def test_a_launcher_that_loses_everything_at_a_call(
    gcp_field: Field, count: int, options: dict[str, Any], methods: tuple[str, ...]
) -> None:
    """From the call on nothing is answered any more, so that no clean-up of the launcher's own helps."""
    others = foreign(gcp_field)
    gcp_field.fake.book.operation_s = 0.02  # so that operations are waited for
    for number, (method, done) in enumerate(moments(methods)):
        with _lost_at(gcp_field, method, done=done), suppress(GoldbakeError):
            gcp_field.launch(f"l{number}", count=count, options=options)
        reap_leaves_only(gcp_field, others)


@pytest.mark.parametrize("method", ["instances.delete", "firewalls.delete"])
def test_a_removal_that_loses_everything_at_a_call_is_finished_by_the_next(gcp_field: Field, method: str) -> None:
    others = foreign(gcp_field)
    for launch_id, done in (("l1", False), ("l2", True)):
        gcp_field.launch(launch_id, count=2, options=_SSH)
        remove_in_vain(gcp_field, launch_id, _lost_at(gcp_field, method, done=done))
        reap_leaves_only(gcp_field, others)


@pytest.mark.parametrize(("count", "method"), [(1, "compute.instances.insert"), (2, "compute.regionInstances.bulkInsert")])
def test_a_launcher_that_is_killed_while_its_create_call_is_carried_out(gcp_field: Field, count: int, method: str) -> None:
    others = foreign(gcp_field)
    of_the_child = replace(gcp_field, gcp=Gcp())
    killed(gcp_field.fake.after, lambda call: call.method == method, lambda: of_the_child.launch(count=count))
    ours = [one for one in gcp_field.held("instance") if one.tags.get("goldbake-launch") == "l1" and one.tags["managed-by"] == "goldbake"]
    assert len(ours) == count
    assert [doomed.why for doomed in gcp_field.plan_reap().launches] == ["the process that launched it is gone"]
    reap_leaves_only(gcp_field, others)


def _lost_at(field: Field, method: str, *, done: bool) -> AbstractContextManager[None]:
    """Everything is lost at the first call of this method."""
    field.fake.refuse("gone", f"compute.{method}", times=1, drop=True, done=done)
    return everything_lost(field, lambda call: call.method == f"compute.{method}")
