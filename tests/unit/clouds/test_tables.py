"""What holds for every cloud's table of refusals, and for a code that is in none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pytest

from goldbake.clouds.aws import errors as aws
from goldbake.clouds.azure import errors as azure
from goldbake.clouds.failure import Failure, Refusal, Scope, Worded
from goldbake.clouds.gcp import errors as gcp
from goldbake.errors import Exit

DOING, PLACE = "start a machine", "eu-west-1"
T = TypeVar("T")


class Refused(Protocol):
    def __call__(self, code: str, said: str = "", *, status: int = 0) -> Failure: ...


@dataclass(frozen=True)
class Table:
    """A cloud's rows, and how one of its refusals is read."""

    cloud: str
    rows: Sequence[Refusal]
    errors: Mapping[str, Refusal]
    worded: Sequence[Worded]
    values: Collection[str]
    """What `{…}` in a text of it may stand for."""
    refused: Refused
    known: str
    """A code of a zone that has no machine."""
    unknown: Collection[str]
    """Codes of other clouds, and what only looks like one of this."""


def _aws(code: str, said: str = "", *, status: int = 0) -> Failure:
    return aws.refused(code, said, doing=DOING, region=PLACE, status=status)


def _azure(code: str, said: str = "", *, status: int = 0) -> Failure:
    return azure.refused(code, said, doing=DOING, place=PLACE, status=status)


def _gcp(code: str, said: str = "", *, status: int = 0) -> Failure:
    return gcp.refused(code, said, doing=DOING, place=PLACE, status=status)


AWS = Table(
    "AWS", aws.ROWS, aws.ERRORS, aws.WORDED, {"action", "region"}, _aws, "InsufficientInstanceCapacity",
    ("ZONE_RESOURCE_POOL_EXHAUSTED", "AllocationFailed", "InsufficientInstanceCapacity2", "vcpulimitexceeded", ""),
)  # fmt: skip
AZURE = Table(
    "Azure", azure.ROWS, azure.ERRORS, azure.WORDED,
    {"region", "action", "scope", "subscription", "group", "who", "provider", "policy", "assignment"}, _azure, "ZonalAllocationFailed",
    ("InsufficientInstanceCapacity", "ZONE_RESOURCE_POOL_EXHAUSTED", "AllocationFailed2", ""),
)  # fmt: skip
GCP = Table(
    "Google", gcp.ROWS, gcp.ERRORS, gcp.WORDED,
    {"place", "region", "project", "service", "permission", "constraint", "metric", "limit", "location"}, _gcp, "ZONE_RESOURCE_POOL_EXHAUSTED",
    ("SOMETHING_NEW", "InsufficientInstanceCapacity", "AllocationFailed", "zone_resource_pool_exhausted", ""),
)  # fmt: skip
TABLES = (AWS, AZURE, GCP)
EACH = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.cloud)


@EACH
def test_no_code_has_two_rows_and_no_words_have_two_meanings(table: Table) -> None:
    assert _twice(row.code.lower() for row in table.rows) == []
    assert _twice((one.row.code, one.phrase.lower()) for one in table.worded) == []


@EACH
def test_every_row_is_a_sentence_a_next_step_and_a_source(table: Table) -> None:
    for row in [*table.rows, *(one.row for one in table.worded)]:
        assert row.meaning.endswith("."), row.code
        assert row.meaning[0].isupper() or row.meaning.startswith("~"), row.code
        assert row.fix, row.code
        assert not row.fix.endswith("."), row.code
        assert row.source, row.code
        assert set(re.findall(r"\{(.*?)\}", row.meaning + row.fix)) <= set(table.values), row.code


@EACH
def test_words_belong_to_rows_and_no_words_hide_others(table: Table) -> None:
    """The first words that fit count: those that are part of others must come after them."""
    assert {one.row.code for one in table.worded} <= set(table.errors)
    for index, first in enumerate(table.worded):
        same = [one.phrase for one in table.worded[index + 1 :] if one.row.code == first.row.code]
        assert [phrase for phrase in same if first.phrase.lower() in phrase.lower()] == [], first.phrase


@pytest.mark.parametrize(("table", "code"), [(table, code) for table in TABLES for code in table.unknown])
def test_an_unknown_code_is_told_in_its_own_words_and_tried_nowhere_else(table: Table, code: str) -> None:
    found = table.refused(code, "Something new happened.")
    assert (found.scope, found.exit_code, found.code) == (Scope.REQUEST, Exit.FAILED, code)
    assert found.message == f"{table.cloud} would not {DOING} in {PLACE}: Something new happened ({code})"
    assert "does not know this code" in found.hint


@EACH
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_unknown_code_of_a_service_in_trouble_is_tried_again(table: Table, status: int) -> None:
    assert table.refused(str(status), "Bad Gateway", status=status).scope is Scope.RETRY


@EACH
def test_a_known_code_decides_more_than_the_http_status(table: Table) -> None:
    assert table.refused(table.known, status=500).scope is Scope.ZONE


def _twice(found: Iterable[T]) -> list[T]:
    return [one for one, count in Counter(found).items() if count > 1]
