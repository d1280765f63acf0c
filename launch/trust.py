"""Certificates that the instances are to trust besides their system's."""

from __future__ import annotations

import os
from pathlib import Path

from goldbake.errors import UsageError

_MAX = 8192
"""A file of trusted certificates up to this size is a company's own, and the instances need it too; a larger one is a system's whole list."""


def from_environment() -> Path | None:
    """The file that tells other programs of this user what to trust besides the system's; None without a short one."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        path = Path(os.environ.get(name) or "/nonexistent")
        if path.is_file() and path.stat().st_size <= _MAX:
            return path
    return None


def read(path: Path | None) -> str:
    """The certificates in a file. Raises UsageError when they cannot be read."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise UsageError(f"the certificates {path} cannot be read: {error}", hint="name a file of PEM certificates") from error
