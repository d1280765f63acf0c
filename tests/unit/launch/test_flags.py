"""What people type is understood, or refused by the flag's name."""

from __future__ import annotations

import pytest

from goldbake.errors import UsageError
from launch import flags


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h", 14400), ("90m", 5400), ("1d12h", 129600), ("2h30m", 9000), ("45s", 45), ("3600", 3600), (" 1m ", 60), ("1d2h3m4s", 93784)],
)
def test_duration_is_understood(text: str, seconds: int) -> None:
    assert flags.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "4 h", "-4h", "4x", "0", "0h", "1.5h", "h4", "3m2h", "4h4h", "٤h"])
def test_what_is_no_duration_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout") as caught:
        flags.duration(text, "--timeout")
    assert "4h" in caught.value.hint


def test_labels_are_names_with_values() -> None:
    assert flags.labels(["GPU_NAME=a100", "EMPTY=", "PAIR=a=b"]) == {"GPU_NAME": "a100", "EMPTY": "", "PAIR": "a=b"}


@pytest.mark.parametrize("given", [["GPU"], ["=x"], [""]])
def test_label_without_a_name_or_a_value_is_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="--label"):
        flags.labels(given)


def test_label_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="--label A is given twice"):
        flags.labels(["A=1", "A=2"])
