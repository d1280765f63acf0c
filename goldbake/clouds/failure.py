"""One vocabulary for what clouds refuse: how far a failure reaches, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from goldbake.errors import Exit, GoldbakeError


class Scope(StrEnum):
    """How far a failure reaches: what is not tried any more because of it."""

    RETRY = "retry"
    """Nothing: the same call may succeed in a moment."""
    ZONE = "zone"
    REGION = "region"
    ACCOUNT = "account"
    """Every place of this account: a permission, or a quota that counts everywhere."""
    REQUEST = "request"
    """The request itself is wrong: no place would take it."""


_EXITS: Mapping[Scope, Exit] = {
    Scope.RETRY: Exit.FAILED,
    Scope.ZONE: Exit.CAPACITY,
    Scope.REGION: Exit.CAPACITY,
    Scope.ACCOUNT: Exit.MISSING,
    Scope.REQUEST: Exit.USAGE,
}


class Failure(GoldbakeError):
    """A cloud refused, or an instance died. `code` is the cloud's own word for it.

    The exit code follows from the scope unless it is given: a quota of the whole account is `ACCOUNT` and `Exit.CAPACITY`.
    """

    def __init__(self, scope: Scope, code: str, message: str, *, hint: str = "", exit_code: Exit | None = None) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope
        self.code = code
        self.exit_code = _EXITS[scope] if exit_code is None else exit_code


def worst(problems: Sequence[Failure]) -> Failure:
    """One failure for several: one that does not pass by itself, if there is any; its message has them all."""
    chief = next((found for found in problems if found.scope is not Scope.RETRY), problems[0])
    said = "; ".join(dict.fromkeys(found.message for found in problems))
    return Failure(chief.scope, chief.code, said, hint=chief.hint, exit_code=chief.exit_code)


@dataclass(frozen=True)
class Refusal:
    """One row of a cloud's error table: a code, what it means and what to do. The reference pages are made of these."""

    code: str
    scope: Scope
    meaning: str
    """A sentence for a person who has never met this code."""
    fix: str
    """The next step: a command, or a page."""
    source: str
    """Where this is known from."""
    exit_code: Exit | None = None
    """Where it does not follow from the scope."""


@dataclass(frozen=True)
class Worded:
    """What a code that means several things means when the message has `phrase`."""

    phrase: str
    row: Refusal


def rows(scope: Scope, source: str, *given: tuple[str, str, str], exit_code: Exit | None = None) -> tuple[Refusal, ...]:
    """Rows of one reach and source, each a code, its meaning and the next step."""
    return tuple(Refusal(code, scope, meaning, fix, source, exit_code) for code, meaning, fix in given)


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text of a table with its values: `{region}` as the region, or as REGION where there is none."""
    return re.sub(r"\{([a-z_]+)\}", lambda name: values.get(name[1], name[1].upper()), text)


def refusal(row: Refusal | None, code: str, said: str, *, what: str, values: Mapping[str, str], page: str) -> Failure:
    """The failure of a refused call: `what` was refused, what its row says, and behind it the cloud's own code and words.

    A code that has no row speaks for itself, and as far as anybody can tell the next place would refuse it too; `page` is the cloud's own list.
    """
    if row is None:
        hint = f"goldbake does not know this code; see {page}"
        return Failure(Scope.REQUEST, code, f"{what}: {said} ({code})", hint=hint, exit_code=Exit.FAILED)
    meaning, words = filled(row.meaning.rstrip("."), values), f"{code}: {said}" if said else code
    return Failure(row.scope, code, f"{what}: {meaning} ({words})", hint=filled(row.fix, values), exit_code=row.exit_code)


def death(row: Refusal | None, code: str, said: str, *, what: str, cloud: str, found: Failure) -> Failure:
    """The failure of an instance that has ended, for the reason that its cloud gives: what its row says, with the reach and the hint of `found`.

    Without a row there is only its console to look at.
    """
    words = ": ".join(filter(None, (code, " ".join(said.removeprefix(f"{code}: ").split())))) or f"{cloud} does not say why"
    if row is None:
        return Failure(Scope.REQUEST, code or "ended", f"{what}: {words}", hint="its console may tell more", exit_code=Exit.FAILED)
    meaning = filled(row.meaning.rstrip("."), {})
    return Failure(found.scope, found.code, f"{what}: {meaning} ({words})", hint=found.hint, exit_code=found.exit_code)
