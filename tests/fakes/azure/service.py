"""The fake: a proxy on a port of loopback behind which Azure's sign-in and Resource Manager answer, for tests and by itself."""

from __future__ import annotations

import ssl
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import trustme

from tests.fakes.azure import arm, described, login, machines, running, schedules, state
from tests.fakes.azure.answers import Refused, Result, refusal, request_headers, written
from tests.fakes.azure.book import CLIENT, SUBSCRIPTION, TENANT, Book, Resource
from tests.fakes.azure.calls import Call, Fault, Faults
from tests.fakes.azure.state import Held
from tests.fakes.fake import Fake
from tests.fakes.http import Answer

MANAGEMENT = "management.azure.com"
_REMAINING = 239


class FakeAzure(Fake[Call, Fault]):
    """A tenant with one subscription."""

    def __init__(self, port: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fake-azure-")
        self.authority = Path(self._folder.name) / "ca.pem"
        super().__init__(port, Fault.parse, _tunnels(self.authority))
        self.answers: list[tuple[Call, Answer]] = []
        """With `keep_answers`, what was answered."""
        self.keep_answers = False
        self.book = Book()
        self.directory = login.Directory()

    # --- life

    def start(self) -> Self:
        described.prepare()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self._folder.cleanup()

    def reset(self) -> None:
        """A subscription that was just made: nothing in it, no faults, no calls."""
        with self.book.lock:
            self.book.forget()
            self.directory.forget()
        self.answers.clear()
        self._server.refused_hosts.clear()
        super().reset()

    # --- what a client needs

    def environment(self) -> dict[str, str]:
        """The variables that lead Azure's SDK, Packer and curl here and nowhere else."""
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.authority),
            "SSL_CERT_FILE": str(self.authority),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": login.SECRET,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_CONFIG_DIR": str(self.authority.parent / "none"),
        }

    # --- what a test sets

    @property
    def faults(self) -> Faults:
        return self.book.faults

    def refuse(self, code: str, what: str = "*", **more: Any) -> None:
        """Answer the next matching call with an error: see `Fault`."""
        self.book.faults.add(Fault(code, what, **more))

    @property
    def capacity(self) -> dict[tuple[str, str, bool], int]:
        """(location or LOCATION-ZONE, size, spot) → machines that can still be started there."""
        return self.book.capacity

    @property
    def refused_hosts(self) -> list[str]:
        """What clients wanted to reach through the proxy, besides Azure."""
        return self._server.refused_hosts

    def settle(self) -> None:
        """Let all that is at work be done, as it is a while later."""
        with self.book.lock:
            running.settle(self.book)

    def machine(self, name: str) -> Resource:
        """A virtual machine by its name. Raises KeyError."""
        with self.book.lock:
            for one in self.book.of(machines.MACHINE):
                if one.name.lower() == name.lower():
                    return one
        raise KeyError(name)

    def power_off(self, name: str) -> str:
        """What Azure does when a machine shuts itself down: it is stopped, and still costs. Returns the new state; empty: it is gone."""
        with self.book.lock:
            try:
                machines.stop(self.book, self.machine(name), "stopped")
            except KeyError:
                return ""
        return "stopped"

    def auto_shutdown(self, name: str) -> bool:
        """The time of day comes that the schedule of a machine names; False: it has none."""
        with self.book.lock:
            return schedules.due(self.book, self.machine(name))

    def evict(self, name: str) -> None:
        """Take a spot machine back, as its policy says."""
        with self.book.lock:
            machines.evict(self.book, self.machine(name))

    # --- what a test asks

    def held(self) -> list[Held]:
        """All that clients made and that is still there; `[str(one) for one in fake.held()] == []` is `nothing left`."""
        with self.book.lock:
            return state.held(self.book)

    def titles(self, *, reading: bool = False) -> list[str]:
        """What was asked so far, as `PUT Microsoft.Compute/virtualMachines`; what only reads is left out unless asked for."""
        return [call.title for call in list(self.calls) if reading or not call.is_reading]

    # --- serving

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        parts = urlsplit(target)
        if not parts.scheme:
            return self._control(method, parts.path, body)
        lower = {name.lower(): value for name, value in headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        call = self._keep(arm.call_of(method, str(parts.hostname), parts.path, query, body))

        def work() -> Answer:
            with self.book.lock:
                return self._carried_out(call, query, lower, body)

        answer = self._answered(call, work)
        if answer is not None:
            call.status = answer.status
            if self.keep_answers:
                self.answers.append((call, answer))
        return answer

    def _fault(self, call: Call) -> Fault | None:
        return self.book.faults.take(call, "call")

    def _refusal(self, call: Call, fault: Fault) -> Answer:
        if call.host == login.HOST:
            return written(Result(fault.http, {"error": "fault", "error_description": f"{fault.code}: {fault.text}", "error_codes": []}))
        answer = refusal(Refused(fault.code, fault.text, fault.http, details=[dict(one) for one in fault.details]))
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def _carried_out(self, call: Call, query: dict[str, str], headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            if call.host == login.HOST:
                result = login.answer(self.directory, call.method, call.path, body)
                call.code = str((result.body or {}).get("error", ""))
                return written(result)
            if call.host == machines.BLOBS:
                return self._log(call)
            if not self.directory.is_valid(headers.get("authorization", "")):
                raise Refused("InvalidAuthenticationToken", "The access token is invalid.", 401)
            result = arm.answer(self.book, call, query, body)
            return written(result, request_headers(call.method, call.what, _REMAINING - call.number % _REMAINING))
        except Refused as refused:
            call.code = refused.code
            return refusal(refused)
        except arm.Unknown as unknown:
            self.crashes.append(f"{call.title} {call.path} {call.version}: {unknown}")
            call.code = "FakeContract"
            return refusal(Refused("FakeContract", str(unknown), 501))
        except Exception:
            self.crashes.append(f"{call.title} {call.path}\n{traceback.format_exc()}")
            call.code = "FakeFailed"
            return refusal(Refused("FakeFailed", "The fake itself failed.", 501))

    def _log(self, call: Call) -> Answer:
        """The serial log of a machine: text."""
        name = call.path.rpartition("/")[2].partition(".")[0]
        if not call.path.endswith(".serialconsole.log"):
            return Answer(404, b"", {"x-ms-error-code": "BlobNotFound"})
        text = self.book.consoles.get(name) or self.book.console_of(name)
        if text is None:
            return Answer(
                404, b"<Error><Code>BlobNotFound</Code></Error>", {"Content-Type": "application/xml", "x-ms-error-code": "BlobNotFound"}
            )
        return Answer(200, text.encode(), {"Content-Type": "application/octet-stream", "x-ms-blob-type": "AppendBlob"})

    def _state(self) -> dict[str, Any]:
        with self.book.lock:
            return state.document(self.book)


def _tunnels(certificate: Path) -> dict[str, ssl.SSLContext]:
    """What the hosts show, with a throw-away authority whose certificate is written to this path."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificate)
    contexts = {}
    for host in (login.HOST, MANAGEMENT, machines.BLOBS):
        contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(contexts[host])
    return contexts
