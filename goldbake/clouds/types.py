"""Which instance type is taken when nobody names any."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from goldbake.config.model import Gpu
from goldbake.errors import UsageError


def cheapest(known: Iterable[tuple[str, Gpu]], gpus: Collection[Gpu], *, kind: str, example: str) -> tuple[str, ...]:
    """The first of the types `known` whose GPU the image is made for; of any GPU when that is not known. `kind` is what the cloud calls a type.

    Only one: the next one may cost ten times as much, and that is for a person to allow. Raises UsageError when there is none.
    """
    found = next((name for name, gpu in known if not gpus or gpu in gpus), None)
    if found is None:
        raise UsageError(f"no {kind} is known for the image's GPUs: {', '.join(sorted(gpus))}", hint=f"name one: --instance-type {example}")
    return (found,)
