"""A secret is never shown by accident."""

import copy
import pickle

import pytest

from goldbake.secret import Secret, redact

TOKEN = "s3cr3t-token-value"


def test_a_secret_prints_as_stars_in_every_way() -> None:
    secret = Secret(TOKEN)
    assert [str(secret), repr(secret), f"{secret:>30}", f"{[secret]}"] == ["***", "Secret(***)", "***", "[Secret(***)]"]


def test_a_secret_reveals_its_value_on_purpose() -> None:
    assert Secret(TOKEN).reveal() == TOKEN


def test_redact_blanks_what_this_process_has_met() -> None:
    Secret(TOKEN)
    assert redact(f"url?token={TOKEN}&x=1") == "url?token=***&x=1"


def test_a_short_value_is_not_searched_for() -> None:
    Secret("abc")
    assert redact("abcdef") == "abcdef"


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy])
def test_a_secret_cannot_be_copied_out(leak: object) -> None:
    with pytest.raises(TypeError, match="Secret"):
        leak(Secret(TOKEN))  # type: ignore[operator]


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret(TOKEN) == Secret(TOKEN)
    assert Secret(TOKEN) != TOKEN
    assert not Secret("")
