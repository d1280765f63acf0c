"""Taking the PAT off the machine: from where it came, and from what others copied of it."""

from __future__ import annotations

import os

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import Settings
    from .sources import Found

_BLOCK = 1 << 20
_LARGEST = 64 << 20


def wipe(settings: Settings, found: Found | None, pat: str) -> list[str]:
    """Remove every copy; returns what could not be wiped, for the journal. Does not stop at the first failure.

    Where it came from is the last: a run that is cut off before that finds it again, and begins anew.
    """
    left: list[str] = []
    secrets = _forms(found, pat)
    for path in _candidates(settings, found):
        if _holds(path, secrets):
            # A cache is made again by whoever needs it; a log or the description of a machine loses the secret only.
            _try(overwrite if path.startswith(tuple(settings.cloud_init)) else lambda path: mask(path, secrets), path, left)
    if found is not None:
        for path in found.files:
            _try(overwrite, path, left)
        if found.device:
            _try(_zero_device, found.device, left)
    return left


def wipe_again(settings: Settings) -> list[str]:
    """Remove what was copied since: where cloud-init is at work, it reads user-data anew at a later boot and keeps it again."""
    import re

    pats = set()
    for path in _candidates(settings, None):
        content = _content(path)
        if b"goldbake" in content:
            # As it is, or as text within JSON, which escapes the quotes.
            pats.update(re.findall(rb'\\?"pat\\?"\s*:\s*\\?"([^"\\*]+)', content))
    return [line for pat in pats for line in wipe(settings, None, pat.decode("utf-8", "replace"))]


def overwrite(path: str) -> None:
    """Zeros over a file's content, then no file. What was written before stays on the disk otherwise."""
    if not os.path.lexists(path):
        return
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "r+b", buffering=0) as file:
            _zero(file.fileno(), os.fstat(file.fileno()).st_size)
    os.unlink(path)


def mask(path: str, secrets: list[bytes]) -> None:
    """Asterisks over the secrets in a file, in place."""
    with open(path, "r+b", buffering=0) as file:
        content = file.read()
        for secret in secrets:
            at = content.find(secret)
            while at >= 0:
                os.pwrite(file.fileno(), b"*" * len(secret), at)
                at = content.find(secret, at + len(secret))
        os.fsync(file.fileno())


def _zero_device(path: str) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        _zero(handle, os.lseek(handle, 0, os.SEEK_END))
    finally:
        os.close(handle)


def _zero(handle: int, size: int) -> None:
    """From the end to the beginning: cut off, a disk still has the label by which it is found."""
    while size > 0:
        at = max(0, size - _BLOCK)
        done = at
        while done < size:
            done += os.pwrite(handle, b"\0" * (size - done), done)
        size = at
    os.fsync(handle)


def _forms(found: Found | None, pat: str) -> list[bytes]:
    """How the PAT may lie around: as it is, and the whole user-data in base64 (Azure) in one line or in lines of 76."""
    import binascii
    import json

    forms = [pat.encode(), json.dumps(pat)[1:-1].encode()] if pat else []
    if found is not None and found.data:
        encoded = binascii.b2a_base64(found.data, newline=False)
        forms.append(encoded)
        forms.append(b"\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76)))
    return forms


def _candidates(settings: Settings, found: Found | None) -> Iterator[str]:
    """Files that may hold a copy; not those that it came from."""
    own = found.files if found is not None else ()
    yield from settings.logs
    for top in (*settings.cloud_init, settings.waagent):
        for folder, _, names in os.walk(top):
            for name in names:
                path = f"{folder}/{name}"
                if path not in own and os.path.isfile(path) and not os.path.islink(path):
                    yield path


def _holds(path: str, secrets: list[bytes]) -> bool:
    content = _content(path)
    return any(secret in content for secret in secrets)


def _content(path: str) -> bytes:
    """What a file holds; nothing of one that cannot be read or is no text of anybody's size."""
    try:
        if os.path.getsize(path) > _LARGEST:
            return b""
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _try(action: object, path: str, left: list[str]) -> None:
    assert callable(action)
    try:
        action(path)
    except OSError as error:
        left.append(f"{path}: {error.strerror}")
