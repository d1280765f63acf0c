"""What an answer that is no good means."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from goldbake.azdo.errors import AzureDevOpsError, Kind, azdo_error
from goldbake.azdo.organization import tokens_page
from goldbake.secret import Secret, redact

Tell = Callable[[str], str]
"""Text of a server → the same, fit for a message."""

_LONGEST = 300
_SIGN_IN = re.compile(r"sign-?in|log-?in|oauth2|/_home", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)

_BY_TYPE: Mapping[str, Kind] = {
    "AccessDeniedException": Kind.PERMISSION,
    "AccessCheckException": Kind.PERMISSION,
    "TaskAgentPoolNotFoundException": Kind.POOL_GONE,
    "TaskAgentNotFoundException": Kind.AGENT_UNKNOWN,
    "TaskAgentJobStillRunningException": Kind.AGENT_BUSY,
    "TaskAgentExistsException": Kind.CONFLICT,
    "TaskAgentPoolExistsException": Kind.CONFLICT,
    "VssVersionOutOfRangeException": Kind.VERSION,
    "VssInvalidPreviewVersionException": Kind.VERSION,
}
"""`typeKey` of the error document → kind. The service's own clients go by this name and not by the status."""

_BY_STATUS: Mapping[int, Kind] = {
    401: Kind.PAT_REJECTED,
    403: Kind.PERMISSION,
    404: Kind.ORGANIZATION_UNKNOWN,
    407: Kind.PROXY,
    408: Kind.FAILING,
    409: Kind.CONFLICT,
    429: Kind.THROTTLED,
}


@dataclass(frozen=True)
class Asked:
    """What was asked of whom: the values that messages name."""

    method: str
    path: str
    organization: str
    pool: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.organization).netloc

    def error(self, kind: Kind, **values: object) -> AzureDevOpsError:
        """The error of this kind about this request."""
        known: dict[str, object] = {
            "organization": self.organization,
            "tokens": tokens_page(self.organization),
            "host": self.host,
            "request": f"{self.method} {self.path}",
            "pool": repr(self.pool),
            "pool_word": self.pool if re.fullmatch(r"[A-Za-z0-9._-]+", self.pool) else f"'{self.pool}'",
            "of_pool": f" with the pool {self.pool!r}" if self.pool else "",
            "meant": "",
            "said": "",
        }
        return azdo_error(kind, **{**known, **values})


class Refusal(Exception):
    """An attempt that brought no good answer: its error, and how many seconds the service wants to be left alone."""

    def __init__(self, error: AzureDevOpsError, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


class _Refused(BaseModel):
    """The service's error document, as far as anything depends on it."""

    model_config = ConfigDict(frozen=True)

    message: str = ""
    typeKey: str = ""


def judge(asked: Asked, status: int, headers: Mapping[str, str], body: bytes, tell: Tell) -> AzureDevOpsError:
    """The error that an answer stands for."""
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    refused = _refused(body) if is_json(media) else _Refused()
    said = tell(refused.message or unquote(headers.get("x-tfs-serviceerror", "")) or _title(body, media))
    values: dict[str, object] = {
        "status": status,
        "media": tell(media) or "no type",
        "said": f": {said}" if said else "",
        "version": "7.1",
    }
    if 300 <= status < 400:
        return _redirection(asked, headers.get("location", ""), values, tell)
    kind = _BY_TYPE.get(refused.typeKey) or _BY_STATUS.get(status) or _other(status)
    if status in (401, 203):
        kind = Kind.PAT_EXPIRED if "expired" in said.lower() else Kind.PAT_REJECTED
    elif kind is Kind.PERMISSION and not is_json(media):
        kind = Kind.BLOCKED
    elif kind is Kind.NOT_JSON and is_json(media):
        return asked.error(Kind.BAD_ANSWER, problem=f"status {status}")
    elif kind is Kind.PROXY:
        return asked.error(Kind.PROXY, problem=f"status {status}{values['said']}")
    elif kind is Kind.THROTTLED:
        seconds = retry_after(headers.get("retry-after", ""))
        values |= {"wait": f", Retry-After {seconds:.0f} s" if seconds else "", "wait_for": f" {seconds:.0f} s" if seconds else ""}
    return asked.error(kind, **values)


def is_json(media: str) -> bool:
    """Whether a Content-Type is that of JSON."""
    return media.partition(";")[0].strip().lower() == "application/json"


def retry_after(text: str, now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)) -> float:
    """Seconds of a Retry-After header, which is a number or a date; 0 when it is neither."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip(), re.ASCII):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=datetime.UTC)
        return max(0.0, (date - now()).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0


def told(text: str, pat: Secret) -> str:
    """Text of a server, fit for a message: one line, nothing that moves a terminal's cursor, not long, and no PAT in it."""
    value = pat.reveal()
    text = redact(text)
    for form in {value, quote(value, safe="")} - {""}:
        text = text.replace(form, "***")
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _refused(body: bytes) -> _Refused:
    try:
        return _Refused.model_validate_json(body)
    except ValidationError:
        return _Refused()


def _title(body: bytes, media: str) -> str:
    """The title of a page; the service and proxies put what happened there."""
    found = _TITLE.search(body[:65536]) if "html" in media else None
    return found[1].decode("utf-8", "replace") if found else ""


def _redirection(asked: Asked, location: str, values: dict[str, object], tell: Tell) -> AzureDevOpsError:
    try:
        parts = urlsplit(location)
        target, path = parts.netloc.rpartition("@")[2], f"{parts.netloc}{parts.path}"
    except ValueError:
        target = path = ""
    if _SIGN_IN.search(path):
        return asked.error(Kind.PAT_REJECTED, **values)
    return asked.error(Kind.REDIRECTED, target=tell(target) or "elsewhere", **values)


def _other(status: int) -> Kind:
    if status >= 500:
        return Kind.FAILING
    return Kind.REFUSED if status >= 400 else Kind.NOT_JSON
