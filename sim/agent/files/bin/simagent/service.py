"""The REST API as the agent uses it: one session of requests to one organization, with one credential."""

from __future__ import annotations

import os

from . import jsontext
from .errors import AgentError, NetworkError, ServiceError, Unauthorized
from .oauth import Assertion, Pat, guid
from .pace import BACKOFF_S, pause
from .wire import Connection, Response, Url, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .console import Console
    from .network import Network

API_VERSION = "6.0-preview.2"
LOCATIONS = {
    "pools": "a8c47e17-4d56-4a56-92bb-de7ea7dc65be",
    "agents": "e298ef32-5878-4cab-993c-043836571f42",
    "sessions": "134e239e-2df3-4794-a6f6-24f1f19ec8dc",
    "messages": "c3a054f6-7a8a-49c0-944e-3a8e5d7adfd7",
    "jobrequests": "fc825784-c92a-4299-9221-998a02d1b54f",
    "updates": "8cc1b02b-ae49-4516-b5ad-4f9b29967c30",
    "packages": "8ffcd551-079c-493a-9c02-54346299d144",
    "telemetry": "b5cc35c2-ff2b-491d-a085-24b6e9f396fd",
}
"""What the agent needs, by the id under which a service says where it is."""
_RETRIED = frozenset((502, 503, 504))


class Session:
    """Requests of one agent to one organization; the connections are kept. `credential` decides what Authorization says."""

    def __init__(self, url: str, credential: Pat | Assertion, network: Network, console: Console, version: str) -> None:
        self.base = Url(url)
        self.text = url.strip().rstrip("/")
        self.deployment = ""
        if isinstance(credential, Pat) and self.base.scheme == "http" and os.environ.get("VSS_ALLOW_UNSAFE_BASICAUTH") != "true":
            raise AgentError("Basic authentication requires a secure connection to the server.")
        self._credential, self._network, self._console, self._version = credential, network, console, version
        self._routes: dict[str, tuple[str, str, str]] = {}
        self._open: dict[str, Connection] = {}
        self._id = guid()
        self.wake = -1
        """A file descriptor: while it is readable, waiting for an answer ends with Interrupted."""
        self.sleep: Callable[[float], None] = pause
        self._tries = _clamped("VSTS_HTTP_RETRY", 3, 3, 10)
        self._timeout = float(_clamped("VSTS_HTTP_TIMEOUT", 100, 100, 1200))

    def another(self) -> Session:
        """The same with connections of its own, for another thread; it need not ask again where things are."""
        other = Session(self.text, self._credential, self._network, self._console, self._version)
        other._routes = self._routes
        return other

    def speaking_as(self, credential: Pat | Assertion) -> Session:
        """The same over the same connections, with another credential."""
        other = Session(self.text, credential, self._network, self._console, self._version)
        other._routes, other._open = self._routes, self._open
        return other

    def hurry(self, seconds: float) -> None:
        """From now on no request is repeated, or waits longer than this."""
        self._tries, self._timeout = 0, seconds
        for connection in self._open.values():
            connection.limit(seconds)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def connect(self) -> dict[str, Any]:
        """Ask who we are and where things are. Raises AgentError."""
        found = self.call("GET", f"{self.text}/_apis/connectionData?connectOptions=1&lastChangeId=-1&lastChangeId64=-1", version="1.0")
        self.deployment = str(found.get("deploymentType", ""))
        for entry in (found.get("locationServiceData") or {}).get("serviceDefinitions") or []:
            self._routes[str(entry.get("identifier", "")).lower()] = (
                str(entry.get("relativePath", "")),
                str(entry.get("serviceType", "")),
                str(entry.get("displayName", "")),
            )
        return found

    def url(self, resource: str, query: str = "", **parts: object) -> str:
        """Where `resource` is: the service says it as a template, `parts` fill it. Raises ServiceError when the service does not offer it."""
        known = LOCATIONS[resource]
        if known not in self._routes:
            for entry in self.call("OPTIONS", f"{self.text}/_apis/").get("value") or []:
                self._routes[str(entry["id"]).lower()] = (entry["routeTemplate"], entry["area"], entry["resourceName"])
        if known not in self._routes:
            raise ServiceError(f"API resource location {known} is not registered on {self.text}/.")
        template, area, name = self._routes[known]
        filled = [_filled(part, {"area": area, "resource": name, **parts}) for part in template.strip("/").split("/")]
        return f"{self.text}/{'/'.join(part for part in filled if part)}{query and '?' + query}"

    def offers(self, resource: str) -> bool:
        """Whether the service said where `resource` is when we connected."""
        return LOCATIONS[resource] in self._routes

    def call(self, method: str, url: str, body: object = None, *, version: str = API_VERSION) -> dict[str, Any]:
        """One call: the JSON of its answer, empty for an answer without a body. Raises ServiceError, Unauthorized, NetworkError, TokenError."""
        address = Url(url)
        content = b"" if body is None else jsontext.dumps(body).encode()
        answer = self._authorized(method, address, content, version)
        kind = answer.headers.get("content-type", "")
        document: object = {}
        if "json" in kind and answer.body:
            try:
                document = jsontext.loads(answer.body)
            except ValueError as error:
                raise ServiceError(f"The answer of {address.origin} is no JSON: {error}", status=answer.status) from error
        if not 200 <= answer.status < 300:
            raise _refusal(answer, document)
        if answer.body and "json" not in kind:
            raise ServiceError(f"Invalid response content type: {kind or 'none'}", status=answer.status)
        if not isinstance(document, dict):
            raise ServiceError(f"The answer of {address.origin} is no object", status=answer.status)
        return document

    def download(self, address: Url) -> bytes:
        """A file that anybody may have. Raises ServiceError, NetworkError."""
        answer = self.patiently("GET", address, {"User-Agent": "VstsAgentCore", "Accept": "*/*"}, b"")
        if answer.status != 200:
            raise _refusal(answer, None)
        return answer.body

    def _authorized(self, method: str, address: Url, content: bytes, version: str) -> Response:
        renewed = False
        while True:
            headers = {
                "User-Agent": f"VstsAgentCore-linux-x64/{self._version} (simulated)",
                "Accept": f"application/json; api-version={version}",
                "X-TFS-FedAuthRedirect": "Suppress",
                "X-TFS-Session": self._id,
                "X-VSS-E2EID": guid(),
            }
            if content:
                headers["Content-Type"] = "application/json; charset=utf-8"
            if authorization := self._credential.header():
                headers["Authorization"] = authorization
            answer = self.patiently(method, address, headers, content)
            if answer.status not in {401, 302}:
                return answer
            if renewed or not self._credential.renew(self):
                refused = f"VS30063: You are not authorized to access {self.base.origin}."
                self._console.log(f"{answer.status} from {address.origin}{address.path.partition('?')[0]}: the credential was refused.")
                raise Unauthorized(_header_text(answer.headers.get("x-tfs-serviceerror", "")) or refused, status=answer.status)
            renewed = True

    def patiently(self, method: str, address: Url, headers: dict[str, str], content: bytes, also: tuple[int, ...] = ()) -> Response:
        """One request, repeated when no answer comes or the service is busy (502, 503, 504 and `also`). Raises NetworkError."""
        for attempt in range(self._tries + 1):
            last = attempt == self._tries
            try:
                answer = self._exchange(method, address, headers, content)
                if last or answer.status not in {*_RETRIED, *also}:
                    return answer
                why = f"status {answer.status}"
            except NetworkError as error:
                if last or not error.may_pass:
                    raise
                why = str(error)
            self._console.log(f"{method} {address.origin}: {why}; trying again.")
            self.sleep(BACKOFF_S + 2**attempt - 1)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _exchange(self, method: str, address: Url, headers: dict[str, str], content: bytes) -> Response:
        if address.origin not in self._open:
            context = self._network.context() if address.scheme == "https" else None
            self._open[address.origin] = Connection(address, context, self._network.proxy(address), self._timeout)
        answer = self._open[address.origin].exchange(method, address.path, headers, content, self.wake)
        if os.environ.get("VSTS_AGENT_HTTPTRACE", "").lower() == "true":
            for name, value in headers.items():  # the credential too: a reason never to set it
                self._console.log(f"HTTP {method} {address.path} > {name}: {value}")
        self._console.log(f"{method} {address.origin}{address.path.partition('?')[0]} {answer.status}")
        return answer


def _header_text(text: str) -> str:
    """The text of a header that was percent-encoded on its way."""
    if "%" not in text:
        return text
    from urllib.parse import unquote_plus

    return unquote_plus(text)


def _refusal(answer: Response, document: object) -> ServiceError:
    if isinstance(document, dict) and document.get("message"):
        return ServiceError(str(document["message"]), status=answer.status, type_key=str(document.get("typeKey", "")))
    return ServiceError(f"Response status code does not indicate success: {answer.status} ({answer.reason}).", status=answer.status)


def _filled(part: str, parts: dict[str, object]) -> str:
    """One part of a route template; a name that has no value is left out, because such parts are optional."""
    if not part.startswith("{"):
        return part
    value = parts.get(part.strip("{}").lstrip("*"))
    return "" if value is None else quote(str(value))


def _clamped(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name, "")
    return min(max(int(text), least), most) if text.isdecimal() else default
