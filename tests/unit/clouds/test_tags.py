"""Ids are told from words, and times from whatever else a tag may hold."""

from __future__ import annotations

import re

import pytest

from goldbake.clouds import tags


def test_an_id_is_never_a_word() -> None:
    made = {tags.new_id() for _ in range(2000)}
    assert len(made) == 2000
    assert all(re.fullmatch(tags.ID, one) and re.search("[0-9]", one) for one in made)
    assert not any(re.fullmatch(tags.ID, word) for word in ("production", "management", "monitoring", "node123456", "k7", "a2bcdefghijk"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("1795852805", 1795852805), ("", None), ("never", None), ("-5", None), ("١٢", None), ("1.5", None)]
)
def test_a_time_is_a_whole_number_of_seconds(text: str, seconds: int | None) -> None:
    assert tags.expires_of({tags.EXPIRES: text}) == seconds


def test_without_a_time_there_is_none() -> None:
    assert tags.expires_of({tags.MANAGED_BY: tags.OWNER}) is None
