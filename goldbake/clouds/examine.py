"""What doctor's rows about the clouds have in common: regions, looks that are taken at once, credentials, the clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Generic, Protocol, Self, TypeVar

from goldbake.clouds.failure import Failure
from goldbake.errors import Exit, GoldbakeError
from goldbake.finding import Finding

SKEW_S = 300
"""EC2 refuses a request whose signature is older or newer than this, Azure a token, and Entra ID a certificate's assertion: 5 minutes."""
_NOTED_S = 60
_AT_ONCE = 8

Look = tuple[str, Callable[[], Iterable[Finding]]]
"""What is looked at, and what looks: it answers rows, or raises Failure."""


class Placed(Protocol):
    """A bake, as far as it matters here."""

    @property
    def region(self) -> str: ...


T = TypeVar("T")
B = TypeVar("B", bound=Placed)


@dataclass(frozen=True)
class Region(Generic[T, B]):
    """What is looked at in one region."""

    name: str
    types: tuple[T, ...]
    """Types of a launch: all of them must work when a person named them, else one is enough."""
    strict: bool
    bakes: tuple[B, ...]

    @classmethod
    def of(cls, name: str, launches: Collection[str], types: Sequence[T], bakes: Iterable[B], *, strict: bool) -> Self:
        """A region with what is to be done there: launches go to those of `launches`, or everywhere when there are none, bakes to their own."""
        wanted = tuple(types) if name in launches or not launches else ()
        return cls(name, wanted, strict, tuple(bake for bake in bakes if bake.region == name))


def taken(looks: Iterable[Look]) -> Iterator[Finding]:
    """The rows of all looks in their order, while several are taken at once. A look that is refused has one row, which says why."""

    def rows(look: Look) -> list[Finding]:
        what, found = look
        try:
            return list(found())
        except Failure as error:
            return [Finding(what, error.message, error.hint)]

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor") as pool:
        for found in pool.map(rows, looks):
            yield from found


def refused(cloud: str, error: GoldbakeError) -> Finding:
    """The row of a cloud that answers nothing: because of the credentials, or of anything else."""
    return Finding(f"{cloud} credentials" if error.exit_code is Exit.MISSING else cloud, error.message, error.hint)


def clock(cloud: str, date: str, now: float) -> Iterator[Finding]:
    """The row of this machine's clock, by the `Date` of an answer and the time at which it came, in seconds since 1970."""
    try:
        ahead = now - parsedate_to_datetime(date).timestamp()
    except ValueError:  # a proxy or a stand-in that says none
        return
    state = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {cloud}"
    fix = f"set it: `timedatectl set-ntp true`; {cloud} refuses requests from a clock that is 5 minutes off"
    yield Finding("clock", state, fix if abs(ahead) > _NOTED_S else "", required=abs(ahead) > SKEW_S)
