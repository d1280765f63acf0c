"""The tags (Google's labels) of every resource, set by the create call itself.

Values have only a–z, 0–9, - and _, which every cloud's tags and labels accept.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

MANAGED_BY = "managed-by"
LAUNCH = "goldbake-launch"
BAKE = "goldbake-bake"
"""Either this or `goldbake-launch`: because of which run a resource exists."""
IMAGE = "goldbake-image"
EXPIRES = "goldbake-expires"
"""Seconds since 1970."""

FINGERPRINT = "goldbake-fingerprint"
MANIFEST = "goldbake-manifest"
CHECKS = "goldbake-checks"
"""Of finished images: the first `DIGITS` of the fingerprint and of the SHA-256 of the manifest inside; `passed`, `none`, or `pending`."""
DIGITS = 32
"""Google's labels end after 63 characters, so that a whole SHA-256 is one too long."""

OWNER = "goldbake"
"""The value of `managed-by`."""

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is read as something else
ID = r"(?=[a-z]*[2-9])[a-km-np-z2-9]{10}"
"""The form of an id, where only a name says whose something is: it has a digit, so that no word is one."""


def new_id() -> str:
    """A name for a launch or a bake that no other has."""
    while True:
        found = "".join(secrets.choice(_LETTERS) for _ in range(10))
        if re.fullmatch(ID, found):
            return found


def of_launch(launch_id: str, image: str, expires: int) -> dict[str, str]:
    """The tags of everything that a launch makes."""
    return {MANAGED_BY: OWNER, LAUNCH: launch_id, IMAGE: image, EXPIRES: str(expires)}


def of_bake(bake_id: str, image: str, expires: int) -> dict[str, str]:
    """The tags of everything that a bake makes only for its own duration."""
    return {MANAGED_BY: OWNER, BAKE: bake_id, IMAGE: image, EXPIRES: str(expires)}


def expires_of(found: Mapping[str, str]) -> int | None:
    """When what has these tags is past its time, in seconds since 1970; None when they do not say, or somebody wrote something else there."""
    text = found.get(EXPIRES, "")
    return int(text) if text.isascii() and text.isdigit() else None
