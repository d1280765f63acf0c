"""Files from the network: each has a SHA-256 that was known before, or it is not kept."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import http.client
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp

from goldbake.errors import DownloadError
from goldbake.log import Progress

TRIES = 4
"""Attempts at one file when the failure may pass (no connection, 429, 5xx); between them 1, 2 and 4 seconds."""

_TIMEOUT_S = 30.0
_CHUNK = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_SCHEMES = frozenset({"https", "http", "file"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ABANDONED_S = 3600.0


def fetch(url: str, dest: Path, sha256: str, progress: Progress, *, sleep: Callable[[float], None] = time.sleep) -> Path:
    """Put the file behind `url` at `dest` and return it; a `dest` that already has this SHA-256 is left alone.

    The file appears complete and verified or not at all. Raises DownloadError: unreachable, refused, truncated, another hash, disk full.
    """
    if dest.is_file() and digest(dest) == sha256:
        return dest
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{dest.parent} cannot be made: {_why(error)}", hint="move the cache with GOLDBAKE_HOME") from error
    for attempt in range(1, TRIES + 1):
        try:
            _once(url, dest, sha256)
            return dest
        except _TryAgain as problem:
            if attempt == TRIES:
                raise DownloadError(f"{url} could not be fetched: {problem} ({TRIES} attempts)", hint=_reach_hint(url)) from problem
            pause = float(2 ** (attempt - 1))
            progress.info(f"{url}: {problem}; trying again in {pause:.0f} s")
            sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")


def read(url: str, *, limit: int = 16 << 20, timeout: float = _TIMEOUT_S, headers: dict[str, str] | None = None) -> bytes:
    """The bytes behind `url`, at most `limit`, in one attempt. For what is verified otherwise: signed sums, keys, service answers.

    Raises DownloadError.
    """
    request = _request(url, headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            data: bytes = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{url} answered {error.code} {error.reason}", hint=_status_hint(error.code)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} could not be read: {_why(error)}", hint=_reach_hint(url)) from error
    if len(data) > limit:
        raise DownloadError(f"{url} is larger than {limit} bytes", hint="is it the right URL?")
    return data


def unreachable(url: str, *, timeout: float = 5.0) -> str | None:
    """Why `url` cannot be had, or None when its server answers; takes at most `timeout` seconds, name look-up included.

    For a choice between ways, before the long way is begun: a blocked name server alone can hold a plain request for 20 s.
    """
    try:
        request = _request(url, None)
    except DownloadError as error:
        return error.message
    request.method = "HEAD"
    outcome: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(request, timeout=timeout):
                outcome.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            outcome.append(f"answered {error.code} {error.reason}")
        except (OSError, http.client.HTTPException) as error:
            outcome.append(_why(error))

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(timeout)
    return outcome[0] if outcome else f"no answer within {timeout:.0f} s"


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _TryAgain(Exception):
    """A failure that may pass."""


def _once(url: str, dest: Path, sha256: str) -> None:
    request = _request(url, None)
    try:
        part = _new_part(dest)
        try:
            got = _receive(request, part)
            if got != sha256:
                raise DownloadError(
                    f"{url} is not the pinned file: SHA-256 is {got}, wanted {sha256}",
                    hint="do not use it; if the publisher really replaced the file, pin it again: ./inv pin",
                )
            part.chmod(0o644)
            part.replace(dest)
        finally:
            part.unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _TRANSIENT:
            raise _TryAgain(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(f"{url} answered {error.code} {error.reason}", hint=_status_hint(error.code)) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{url}: {_why(error)}", hint="behind a proxy that opens TLS, name its certificates in SSL_CERT_FILE"
            ) from error
        if request.type == "file":
            raise DownloadError(f"{url} cannot be read: {_why(error)}", hint="correct the path in images.lock.yaml") from error
        raise _TryAgain(_why(error)) from error
    except http.client.HTTPException as error:
        raise _TryAgain(_why(error)) from error
    except OSError as error:
        if error.errno in _FULL:
            raise DownloadError(
                f"no space left in {dest.parent} for {url}", hint="free some space, or move the cache with GOLDBAKE_HOME"
            ) from error
        if error.filename is not None:
            raise DownloadError(f"{error.filename} cannot be written: {_why(error)}", hint="move the cache with GOLDBAKE_HOME") from error
        raise _TryAgain(_why(error)) from error


def _new_part(dest: Path) -> Path:
    """An empty file beside `dest`. What a killed run left there an hour ago or earlier is removed: nobody writes it any more."""
    prefix = f".{dest.name[:100]}."
    for left in dest.parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
            if left.stat().st_mtime < time.time() - _ABANDONED_S:
                left.unlink()
    handle, name = mkstemp(prefix=prefix, dir=dest.parent)
    os.close(handle)
    return Path(name)


def _receive(request: urllib.request.Request, part: Path) -> str:
    """Write the answer to `part` and return its SHA-256."""
    sums = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, part.open("wb") as file:
        expected = answer.headers.get("Content-Length", "")
        while chunk := answer.read(_CHUNK):
            sums.update(chunk)
            file.write(chunk)
            size += len(chunk)
    if expected.isdecimal() and size < int(expected):
        raise _TryAgain(f"the connection ended after {size} of {expected} bytes")
    return sums.hexdigest()


def _request(url: str, headers: dict[str, str] | None) -> urllib.request.Request:
    """A request for `url`; `headers` may hold a credential, so a redirection does not take them along."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in _SCHEMES and (parts.scheme == "file" or bool(parts.hostname)) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise DownloadError(f"{url!r} is no https, http or file URL", hint="correct it in images.lock.yaml")
    request = urllib.request.Request(url, headers={"User-Agent": "goldbake"})
    for name, value in (headers or {}).items():
        request.add_unredirected_header(name, value)
    return request


def _why(error: BaseException) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _why(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _reach_hint(url: str) -> str:
    host = urllib.parse.urlsplit(url).hostname or url
    return f"is {host} reachable from here? behind a proxy set HTTPS_PROXY"


def _status_hint(code: int) -> str:
    if code in (401, 403, 407):
        return "a proxy or the server refuses this machine"
    return "the publisher may have removed it: pin another version with ./inv pin"
