"""HTTP with Azure DevOps: the PAT goes out, and one JSON document or one error comes back.

Anything but 200 with `application/json` is an error: a rejected PAT is reported as 401, as a sign-in page with status 203, or as a
redirection, depending on the service's mood (azure-devops-auth-samples#52, vsts-rest-api-specs#97). So no redirection is followed, no
cookie is kept, and `X-TFS-FedAuthRedirect: Suppress` asks for the 401.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from goldbake.azdo import answers, connection
from goldbake.azdo.answers import Asked, Refusal
from goldbake.azdo.errors import ROWS, AzureDevOpsError, Kind, Retry
from goldbake.azdo.organization import organization_url
from goldbake.log import Progress
from goldbake.secret import Secret

__all__ = ["Client", "Limits", "organization_url"]

T = TypeVar("T")

VERSION = "7.1"
"""Version of the REST API; the description that goldbake is held against is of this one."""

TRIES = 4
"""Attempts at one call whose failure may pass; between them 1, 2 and 4 seconds, or what Retry-After asks for."""

LONGEST_WAIT_S = 60.0
"""A Retry-After longer than this is not waited for but told. The service's own delays end at 30 s (learn: rate-limits)."""

MARK = "X-Simulated-Service"
"""The header of every answer of the simulated service; the real one never sends it."""

_LARGEST = 32 << 20
_PAGES = 1000


@dataclass(frozen=True)
class Limits:
    """Seconds: for a connection, between two pieces of an answer, and for one attempt in all (name look-up included)."""

    connect: float = 10.0
    read: float = 30.0
    attempt: float = 60.0


class Listing(BaseModel, Generic[T]):
    """What the service puts around every list."""

    model_config = ConfigDict(frozen=True)

    value: tuple[T, ...]


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class Client:
    """Speaks with one organization, named as `organization_url` takes it; use it as a context manager. Safe for several threads.

    `ca` names a file of certificates that are trusted besides those of this machine (SSL_CERT_FILE, SSL_CERT_DIR and REQUESTS_CA_BUNDLE
    replace the machine's own). Proxies come from HTTPS_PROXY and NO_PROXY. `tries`: attempts at one call whose
    failure may pass. `clock` is monotonic seconds.

    All calls raise AzureDevOpsError, and nothing else.
    """

    def __init__(
        self,
        organization: str,
        pat: Secret,
        *,
        ca: Path | None = None,
        progress: Progress | None = None,
        limits: Limits | None = None,
        tries: int = TRIES,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = organization_url(organization)
        self._pat = pat
        self._progress = progress
        self._limits = limits or Limits()
        self._tries = tries
        self._clock = clock
        self._sleep = sleep
        self._simulated: bool | None = None
        # a server that repeats the header in its answer must not bring the PAT into a message
        basic = Secret(base64.b64encode(f":{pat.reveal()}".encode()).decode())
        headers = {
            "Authorization": f"Basic {basic.reveal()}",
            "Accept": "application/json",
            "User-Agent": "goldbake",
            "X-TFS-FedAuthRedirect": "Suppress",
        }
        context = connection.trust(ca, httpx.create_ssl_context)
        try:
            self._http = httpx.Client(
                headers=headers,
                verify=context,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                follow_redirects=False,
                timeout=httpx.Timeout(self._limits.read, connect=self._limits.connect),
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise connection.unusable_proxy(error) from error

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def simulated(self) -> bool:
        """Whether this is the simulated service; asks it when nothing has been asked yet."""
        if self._simulated is None:
            self.get("_apis/connectionData", dict[str, Any], version=f"{VERSION}-preview")
        return bool(self._simulated)

    def get(self, path: str, shape: type[T], query: Mapping[str, str] | None = None, *, pool: str = "", version: str = VERSION) -> T:
        """The document at `path` (below the organization) as a `shape`. `pool` is how messages name the pool that this is about."""
        asked = Asked("GET", path, self.url, pool)
        return self._read(asked, self._ask(asked, {**(query or {}), "api-version": version}), shape)

    def get_all(
        self, path: str, shape: type[T], query: Mapping[str, str] | None = None, *, pool: str = "", version: str = VERSION
    ) -> list[T]:
        """All entries of the list at `path`, over as many pages as the service makes of it."""
        asked = Asked("GET", path, self.url, pool)
        found: list[T] = []
        ask = {**(query or {}), "api-version": version}
        met: set[str] = set()
        while len(met) < _PAGES:
            answer = self._ask(asked, ask)
            found += self._read(asked, answer, Listing[shape]).value  # type: ignore[valid-type]  # a type at run time
            token = answer.headers.get("x-ms-continuationtoken", "")
            if not token:
                return found
            if token in met:
                break
            met.add(token)
            ask["continuationToken"] = token
        raise asked.error(Kind.BAD_ANSWER, problem="its pages have no end")

    def post(self, path: str, body: Mapping[str, object], shape: type[T], *, pool: str = "") -> T:
        """Make something. Tried again only when the service has certainly not made it; see `may_have_happened`."""
        asked = Asked("POST", path, self.url, pool)
        return self._read(asked, self._ask(asked, {"api-version": VERSION}, body), shape)

    def patch(self, path: str, body: Mapping[str, object], shape: type[T], *, pool: str = "") -> T:
        """Set fields to values."""
        asked = Asked("PATCH", path, self.url, pool)
        return self._read(asked, self._ask(asked, {"api-version": VERSION}, body), shape)

    def delete(self, path: str, *, pool: str = "") -> None:
        """Remove something. The service has nothing to say when it did."""
        asked = Asked("DELETE", path, self.url, pool)
        answer = self._ask(asked, {"api-version": VERSION})
        if answer.status != 204 and answer.body and not answers.is_json(answer.headers.get("content-type", "")):
            raise self._judged(asked, answer)

    def _ask(self, asked: Asked, query: Mapping[str, str], body: Mapping[str, object] | None = None) -> _Answer:
        """The answer to a request that the service accepted, after as many attempts as it took."""
        for attempt in range(1, self._tries + 1):
            try:
                return self._attempt(asked, query, body)
            except Refusal as refusal:
                pause = max(refusal.wait, float(2 ** (attempt - 1)))
                if attempt == self._tries or pause > LONGEST_WAIT_S or not _again(asked, refusal.error):
                    raise refusal.error from refusal.__cause__
                if self._progress is not None:
                    self._progress.info(f"{refusal.error.message}; trying again in {pause:.0f} s")
                self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, asked: Asked, query: Mapping[str, str], body: Mapping[str, object] | None) -> _Answer:
        answer = self._bounded(asked, lambda: self._exchange(asked, query, body))
        if answer.status == 200 or (answer.status == 204 and asked.method == "DELETE"):
            self._simulated = MARK in answer.headers
            return answer
        raise Refusal(self._judged(asked, answer), answers.retry_after(answer.headers.get("retry-after", "")))

    def _exchange(self, asked: Asked, query: Mapping[str, str], body: Mapping[str, object] | None) -> _Answer:
        """One request and its complete answer. Raises Refusal when none came."""
        deadline = self._clock() + self._limits.attempt
        try:
            request = self._http.build_request(asked.method, f"{self.url}/{asked.path}", params=query, json=body)
            answer = self._http.send(request, stream=True)
            try:
                data = bytearray()
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > _LARGEST:
                        raise Refusal(asked.error(Kind.BAD_ANSWER, problem=f"more than {_LARGEST >> 20} MiB"))
                    if self._clock() > deadline:
                        raise Refusal(asked.error(Kind.ANSWER_TIMEOUT, seconds=f"{self._limits.attempt:g}"))
            finally:
                answer.close()
            return _Answer(answer.status_code, answer.headers, bytes(data))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Refusal(self._unanswered(asked, error)) from error

    def _bounded(self, asked: Asked, work: Callable[[], _Answer]) -> _Answer:
        """`work` within the time of an attempt. A name look-up or a header that arrives byte by byte knows no time-out of its own."""
        outcome: list[_Answer | BaseException] = []

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # whatever it is, the caller's thread raises it
                outcome.append(error)

        worker = threading.Thread(target=run, name="azure-devops", daemon=True)
        worker.start()
        worker.join(self._limits.attempt)
        if not outcome:
            raise Refusal(asked.error(Kind.ANSWER_TIMEOUT, seconds=f"{self._limits.attempt:g}"))
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _unanswered(self, asked: Asked, error: Exception) -> AzureDevOpsError:
        """Which of httpx's errors this is, in our words."""
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return asked.error(Kind.CONNECT_TIMEOUT, seconds=f"{self._limits.connect:g}")
        if isinstance(error, httpx.TimeoutException):
            return asked.error(Kind.ANSWER_TIMEOUT, seconds=f"{self._limits.read:g}")
        if isinstance(error, httpx.ProxyError):
            return asked.error(Kind.PROXY, host=connection.counterpart(asked), problem=self._told(str(error)))
        if isinstance(error, httpx.DecodingError):
            return asked.error(Kind.BAD_ANSWER, problem="it cannot be unpacked")
        return connection.failure(asked, error, self._told)

    def _judged(self, asked: Asked, answer: _Answer) -> AzureDevOpsError:
        return answers.judge(asked, answer.status, answer.headers, answer.body, self._told)

    def _read(self, asked: Asked, answer: _Answer, shape: type[T]) -> T:
        if answer.status != 200 or not answers.is_json(answer.headers.get("content-type", "")):
            raise self._judged(asked, answer)
        try:
            return TypeAdapter(shape).validate_json(answer.body, strict=True)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise asked.error(Kind.BAD_ANSWER, problem=self._told(f"{where}: {first['msg']}" if where else first["msg"])) from None

    def _told(self, text: str) -> str:
        return answers.told(text, self._pat)


def may_have_happened(error: AzureDevOpsError) -> bool:
    """Whether the service may have done what was asked in spite of this error."""
    return ROWS[error.kind].retry is Retry.IDEMPOTENT or error.kind in (Kind.NOT_JSON, Kind.BAD_ANSWER)


def _again(asked: Asked, error: AzureDevOpsError) -> bool:
    retry = ROWS[error.kind].retry
    return retry is Retry.ALWAYS or (retry is Retry.IDEMPOTENT and asked.method != "POST")
