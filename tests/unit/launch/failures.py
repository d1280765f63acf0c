"""What every failure of a launch has to say, and where it is tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import CapacityError, Exit, GoldbakeError
from launch import service
from launch.fleet import TRIES
from tests.unit.launch.field import Field


@dataclass(frozen=True)
class Codes:
    """The table of a cloud's errors, and the codes in it that a call can answer."""

    errors: Mapping[str, Any]
    answered: Sequence[str]

    def of(self, scope: Scope) -> list[str]:
        return [code for code in self.answered if self.errors[code].scope is scope]

    def exit_of(self, code: str) -> Exit:
        row = self.errors[code]
        return Failure(row.scope, code, "", exit_code=row.exit_code).exit_code

    def assert_told(self, error: GoldbakeError, code: str) -> None:
        """The failure names its code and what to do, and ends the command as the table says."""
        assert code in error.message
        assert error.hint, code
        if self.errors[code].scope in (Scope.ZONE, Scope.REGION):
            assert isinstance(error, CapacityError), code
        else:
            assert error.exit_code is self.exit_of(code), code


def tried(zones: Sequence[str], regions: Sequence[str]) -> dict[Scope, list[str]]:
    """Where machines are asked for when each place fails: all places, those with which a region begins, or only the first."""
    first = list(zones[:1])
    return {
        Scope.RETRY: first * TRIES,
        Scope.ZONE: list(zones),
        Scope.REGION: list(regions),
        Scope.ACCOUNT: first,
        Scope.REQUEST: first,
    }


def failed(field: Field, **more: Any) -> GoldbakeError:
    """Launch, which fails, says why in one line, and leaves nothing."""
    with pytest.raises(GoldbakeError) as caught:
        field.launch(**more)
    assert field.left() == []
    assert service.entries(field.paths) == []
    assert "\n" not in caught.value.message
    return caught.value
