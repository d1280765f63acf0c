"""JSON, held against the library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.agent.files.bin.simagent.jsontext import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_value_is_written_as_the_library_does(value: object) -> None:
    assert dumps(value) == json.dumps(value, separators=(",", ":"))
    assert dumps(value, "  ") == json.dumps(value, indent=2)


@given(VALUES)
def test_value_is_read_as_the_library_does(value: object) -> None:
    text = json.dumps(value, indent=1)
    assert loads(f" {text}\n") == value
    assert loads(text.encode()) == value


@given(st.text(max_size=20) | st.text('{}[]":,truefalsn0123.eE+- ', max_size=20))
def test_what_the_library_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 (the words are the library's)
            loads(text)
    else:
        assert repr(loads(text)) == repr(expected)


def test_mark_at_the_start_of_a_file_is_no_part_of_it() -> None:
    assert loads(b"\xef\xbb\xbf{}") == {}


def test_nesting_without_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="nested"):
        loads("[" * 200_000)


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        dumps({"a": {1}})
