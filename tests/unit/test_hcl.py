"""HCL text means exactly the value that it was made from; tests/integration/test_packer.py asks the real Packer the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldbake import hcl

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS) | st.text(st.sampled_from('$%{}"\\\n\r\t ~aé\u2028\U0001f600'))

_ESCAPE = re.compile(r'\\(?:(?P<named>[nrt"\\])|u(?P<four>[0-9a-f]{4})|U(?P<eight>[0-9a-f]{8}))')
_NAMED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def decoded(literal: str) -> str:
    """What HCL reads: escapes of the language specification; refuses what would end or interpolate the string."""
    assert literal[0] == literal[-1] == '"'
    inner = literal[1:-1]
    assert not re.search(r"[$%]\{", inner), "an interpolation"
    plain = _ESCAPE.sub("", inner)
    assert not set(plain) & set('"\\\n\r'), "an open quote, escape or line end"
    return _ESCAPE.sub(lambda found: _NAMED.get(found["named"] or "") or chr(int(found["four"] or found["eight"], 16)), inner)


@given(TEXTS)
def test_a_string_means_itself_whatever_it_holds(text: str) -> None:
    assert decoded(hcl.quote(text)) == text


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", '"plain"'),
        ('say "x"', '"say \\"x\\""'),
        ("C:\\x", '"C:\\\\x"'),
        ("a\nb", '"a\\nb"'),
        ("${var.x}", '"\\u0024{var.x}"'),
        ("%{if x}", '"\\u0025{if x}"'),
        ("$${x}", '"$\\u0024{x}"'),
        ("100 % of $5", '"100 % of $5"'),
        ("a\u00a0b\x7f", '"a\\u00a0b\\u007f"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_only_what_would_be_read_otherwise_is_escaped(text: str, literal: str) -> None:
    assert hcl.quote(text) == literal


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_no_program_can_be_given_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUL or half of a surrogate pair"):
        hcl.quote(text)


@given(TEXTS)
def test_prose_never_begins_a_template_and_changes_nothing_else(text: str) -> None:
    shown = hcl.prose(text)
    assert "{{" not in shown
    if "{{" not in text:
        assert shown == text


def test_prose_keeps_every_brace() -> None:
    assert hcl.prose("a {{{b}} {c") == "a { { {b}} {c"


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (32, "32"), ([], "[]"), ({}, "{}")])
def test_values_that_are_no_strings(value: hcl.Value, text: str) -> None:
    assert hcl.literal(value) == text


def test_a_list_has_one_item_a_line_at_its_indent() -> None:
    assert hcl.literal(["a", "b"], 2) == '[\n    "a",\n    "b",\n  ]'


def test_a_map_is_aligned_and_quotes_only_the_keys_that_need_it() -> None:
    assert hcl.literal({"bake": "1", "managed by": "x"}) == '{\n  bake         = "1"\n  "managed by" = "x"\n}'
