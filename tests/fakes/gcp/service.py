"""The fake: Compute Engine and what doctor asks besides it, on a port of loopback, for tests and by itself."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from tests.fakes.gcp import bulk, contract, disks, images, instances, life, networks, operations, places, projects, refused, state
from tests.fakes.gcp.access import APIS, TOKEN, Access, refuse_api, refuse_permission
from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.calls import START, Call, Fault, Faults, without_secrets
from tests.fakes.gcp.contract import Match
from tests.fakes.gcp.paths import last
from tests.fakes.gcp.refused import Broken, Refused, missing
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.gcp.seeds import NUMBER, PROJECT, REGION, SEEDS, ZONE, Seed
from tests.fakes.gcp.state import Held
from tests.fakes.http import Answer, Server
from tests.fakes.http import document as plain

METHODS: Methods = {
    **instances.METHODS, **bulk.METHODS, **disks.METHODS, **images.METHODS, **networks.METHODS, **operations.METHODS, **places.METHODS,
    **projects.METHODS,
}  # fmt: skip
_PUBLIC = ("compute.images.get", "compute.images.getFromFamily", "compute.images.list")
_READING = ("get", "list", "aggregatedList", "getFromFamily", "wait", "getIamPolicy", "getSerialPortOutput", "testIamPermissions", "batchGet",
            "getBillingInfo")  # fmt: skip

Watcher = Callable[[Call], None]


class FakeGcp:
    """A project, as a context manager, or by `start` and `stop`. There can be several in a process, each with what it holds."""

    def __init__(self, port: int = 0, *, project: str = PROJECT, number: str = NUMBER, seeds: Iterable[Seed] = SEEDS) -> None:
        self.calls: list[Call] = []
        """Every request that has a method, in the order in which they came."""
        self.crashes: list[str] = []
        """What broke the contract, and tracebacks of the fake itself; a test asserts that there is none."""
        self.keep_answers = True
        """Each call knows what it was answered."""
        self.latency_s = 0.0
        self.before: list[Watcher] = []
        """Called with each request before it is looked at, in the thread that serves it."""
        self.after: list[Watcher] = []
        """Called when it was carried out, before the client gets the answer."""
        self.book = Book(project, number, tuple(seeds))
        """Settings (page, lag, operation_s, wait_s, capacity, withheld, unreachable, quotas, policies, …) and what it holds."""
        self.access = Access(project)
        self._contract = contract.contract()
        self._mutex = threading.Lock()
        self._number = 0
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="fake-gcp-clock", daemon=True)
        self._home = Path(tempfile.mkdtemp(prefix="fake-gcp-"))
        self._server = Server(port, self._respond)

    # --- life

    def start(self) -> FakeGcp:
        """Serve a project in which nothing is."""
        self._key_file.write_text(json.dumps(self.access.key_file(f"{self.url}/token")))
        self._key_file.chmod(0o600)
        self._server.start()
        self._ticker.start()
        return self

    def stop(self) -> None:
        self._ended.set()
        self._ticker.join()
        self._server.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> FakeGcp:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def reset(self) -> None:
        """A project that was just made: nothing in it, no faults, no calls; every permission, every API."""
        with self.book.lock:
            self.book.forget()
        with self._mutex:
            self.calls.clear()
            self.crashes.clear()
            self._number = 0
        self.access = Access(self.project)
        self.keep_answers = True
        self.latency_s = 0.0
        self.before.clear()
        self.after.clear()

    # --- what a client needs

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def project(self) -> str:
        return self.book.project

    def environment(self, *, token: bool = False, zone: str = ZONE, region: str = REGION) -> dict[str, str]:
        """The variables that lead SDKs, gcloud and Packer here and nowhere else: with the key of a service account, or with a token instead."""
        found = {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{self.url}/compute/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING": f"{self.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": f"{self.url}/",
            "CLOUDSDK_CONFIG": str(self._home),
            "CLOUDSDK_CORE_PROJECT": self.project,
            "CLOUDSDK_COMPUTE_REGION": region,
            "CLOUDSDK_COMPUTE_ZONE": zone,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GCE_METADATA_HOST": "127.0.0.1:9",
            "NO_GCE_CHECK": "true",
        }
        if token:
            return found | {"CLOUDSDK_AUTH_ACCESS_TOKEN": TOKEN}
        return found | {"GOOGLE_APPLICATION_CREDENTIALS": str(self._key_file)}

    @property
    def _key_file(self) -> Path:
        return self._home / "goldbake-key.json"

    # --- what a test sets

    @property
    def faults(self) -> Faults:
        return self.book.faults

    @property
    def capacity(self) -> dict[tuple[str, str, bool], int]:
        """(zone, type, spot) → instances that can still be started there."""
        return self.book.capacity

    def refuse(self, code: str, method: str = "*", **more: Any) -> None:
        """Answer the next matching call with an error, or let its operation fail, or end what it made: see `Fault`."""
        self.book.faults.add(Fault(code, method, **more))

    def forbid(self, *permissions: str) -> None:
        """Take permissions from the caller."""
        self.book.forbidden |= set(permissions)

    def allow(self, *permissions: str) -> None:
        """Give them back; without any: all of them."""
        self.book.forbidden = self.book.forbidden - set(permissions) if permissions else set()

    def disable(self, *apis: str) -> None:
        """Turn APIs off, as compute.googleapis.com. Raises ValueError for one that the fake has not."""
        unknown = set(apis) - {api for api, _ in APIS.values()} - self.book.enabled
        if unknown:
            raise ValueError(f"the fake has no {', '.join(sorted(unknown))}")
        self.book.enabled -= set(apis)

    def enable(self, *apis: str) -> None:
        self.book.enabled |= set(apis)

    def advance(self, seconds: float) -> None:
        """Let time pass: operations end, instances reach the end of theirs."""
        with self.book.lock:
            self.book.clock.ahead_s += seconds
            self.book.pass_time()

    def preempt(self, name: str) -> str:
        """Take a running instance back. Returns TERMINATED or DELETED, as its termination action says. Raises KeyError."""
        with self.book.lock:
            return life.by_system(self.book, life.find(self.book, name), life.PREEMPTED)

    def power_off(self, name: str) -> str:
        """What Compute Engine does when a guest shuts itself down: it stays, TERMINATED. Empty: there is no such instance any more."""
        with self.book.lock:
            try:
                return life.by_system(self.book, life.find(self.book, name), "compute.instances.guestTerminate")
            except KeyError:
                return ""

    def vanish(self, name: str) -> None:
        """Delete an instance as another client of the project does. Raises KeyError."""
        with self.book.lock:
            life.delete(self.book, life.find(self.book, name))

    # --- what a test asks

    def instance(self, name: str) -> Document:
        """The instance as GET answers it, metadata and all. Raises KeyError."""
        with self.book.lock:
            return self.book.tables["instances"][life.find(self.book, name)]

    def disk(self, name: str) -> Document:
        """The disk as GET answers it. Raises KeyError."""
        with self.book.lock:
            return next(row for row in self.book.tables["disks"].values() if row["name"] == name)

    def image(self, name: str) -> Document:
        """The project's image as GET answers it. Raises KeyError."""
        with self.book.lock:
            return self.book.tables["images"][f"projects/{self.project}/global/images/{name}"]

    def held(self, *, ended: bool = False) -> list[Held]:
        """All that clients made and that is still there; `[str(one) for one in fake.held()] == []` is `nothing left`."""
        with self.book.lock:
            return state.held(self.book, ended=ended)

    def actions(self, *, reading: bool = False) -> list[str]:
        """The methods of the calls so far; those that only read are left out unless asked for."""
        return [call.method for call in list(self.calls) if reading or call.method.rpartition(".")[2] not in _READING]

    # --- serving

    def _tick(self) -> None:
        while not self._ended.wait(0.05):
            if self.book.agenda:
                self.book.pass_time()

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        parts = urlsplit(target)
        if parts.path.startswith("/_"):
            return self._control(method, parts.path, body)
        if (method, parts.path) == ("POST", "/token"):
            status, found = self.access.token(dict(parse_qsl(body.decode("utf-8", "replace"))))
            return plain(found, status)
        path = unquote(parts.path)
        match = self._contract.find(method, path)
        if match is None:
            self._crash(f"{method} {path}: there is no such method")
            return _answered(Refused("internalError", "The fake knows no such method.", 500))
        query = parse_qs(parts.query, keep_blank_values=True)
        document, broken = _parsed(body)
        call = self._record(match, query, document)
        authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        answer = self._watched(call, lambda: self._carried_out(call, match, query, document, broken, authorization))
        if answer is not None:
            call.status = answer.status
            if self.keep_answers:
                call.kept = answer.body
        return answer

    def _watched(self, call: Call, work: Callable[[], Answer]) -> Answer | None:
        for watcher in list(self.before):
            watcher(call)
        if self.latency_s:
            time.sleep(self.latency_s)
        self.book.pass_time()
        fault = self._fault(call)
        if fault is not None and not fault.done:
            return self._refused(call, fault)
        answer = work()
        for watcher in list(self.after):
            watcher(call)
        return answer if fault is None else self._refused(call, fault)

    def _fault(self, call: Call) -> Fault | None:
        found = self.book.faults.take("insert", call.method, call.zone, call.type, call.spot)
        if found is None and call.type:
            found = self.book.faults.take("insert", START, call.zone, call.type, call.spot)
        return found

    def _refused(self, call: Call, fault: Fault) -> Answer | None:
        call.code = "dropped" if fault.drop else fault.code
        return None if fault.drop else _answered(Refused(fault.code, fault.text, fault.http, details=fault.details), call.method)

    def _carried_out(
        self, call: Call, match: Match, query: Mapping[str, list[str]], document: Any, broken: str, authorization: str
    ) -> Answer:
        try:
            if not self.access.knows(authorization):
                raise refused.unauthenticated(APIS[call.method.partition(".")[0]][0], call.method)
            refuse_api(self.book, call.method)
            problems = [broken] if broken else self._contract.request(match, query, document)
            if problems:
                raise Broken("; ".join(problems))
            return self._said(match, self._handled(call, match, query, document))
        except Refused as error:
            call.code = error.reason
            return _answered(error, call.method)
        except Broken as error:
            self._crash(f"{call.method}: {error}")
        except Exception:
            self._crash(f"{call.method}\n{traceback.format_exc()}")
        call.code = "internalError"
        return _answered(Refused("internalError", f"The fake itself failed: {self.crashes[-1].splitlines()[-1]}", 500), call.method)

    def _handled(self, call: Call, match: Match, query: Mapping[str, list[str]], document: Any) -> Any:
        handler = METHODS.get(call.method)
        if handler is None:
            raise Broken("the fake has no such method")
        if query.get("alt", ["json"]) != ["json"] or "fields" in query:
            raise Broken("the fake answers whole documents in JSON")
        path = dict(match.path)
        if path.get("project") == self.book.number:
            path["project"] = self.project
        request = Request(self.book, call.method, path, {name: "\n".join(values) for name, values in query.items()}, document or {}, call)
        if "project" in path and path["project"] != self.project:
            self._refuse_project(call.method, path["project"])
        if call.method in operations.UNLOCKED:
            refuse_permission(request)
            return handler(request)
        with self.book.lock:
            refuse_permission(request)
            return handler(request)

    def _refuse_project(self, method: str, project: str) -> None:
        """Raise Refused for what one may not do in another project."""
        known = {seed.project for seed in self.book.seeds} | self.book.projects.keys()
        if project not in known:
            raise missing(f"projects/{project}")
        if method not in _PUBLIC and project not in self.book.projects:
            raise refused.forbidden(f"compute.{method.split('.')[1]}.{method.split('.')[2]}", f"projects/{project}")

    def _said(self, match: Match, document: Any) -> Answer:
        with self.book.lock:
            problems = self._contract.answer(match, document)
            body = json.dumps(document).encode()
        if problems:
            raise Broken("the answer: " + "; ".join(problems))
        return Answer(200, body, {"Content-Type": "application/json; charset=UTF-8"})

    def _record(self, match: Match, query: Mapping[str, list[str]], document: Any) -> Call:
        parameters = {
            **match.path,
            **{name: ",".join(values) for name, values in query.items() if name not in ("alt", "$alt", "prettyPrint")},
        }
        call = Call(0, match.method.id, parameters, without_secrets(document), match.path.get("zone", ""))
        if isinstance(document, dict) and call.method.endswith(("instances.insert", "nstances.bulkInsert")):
            body = document.get("instanceProperties", document)
            choices = (document.get("instanceFlexibilityPolicy") or {}).get("instanceSelections") or {}
            kinds = [name for one in choices.values() for name in one.get("machineTypes", ())]
            call.type = last(str(body.get("machineType") or next(iter(kinds), "")))
            scheduling = body.get("scheduling") or {}
            call.spot = scheduling.get("provisioningModel") == "SPOT" or bool(scheduling.get("preemptible"))
        with self._mutex:
            self._number += 1
            call.number = self._number
            self.calls.append(call)
        return call

    def _crash(self, text: str) -> None:
        with self._mutex:
            self.crashes.append(text)

    def _control(self, method: str, path: str, body: bytes) -> Answer:
        controls: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/_state"): self._state,
            ("GET", "/_calls"): lambda: [call.document() for call in list(self.calls)],
            ("DELETE", "/_calls"): self.calls.clear,
            ("GET", "/_crashes"): lambda: list(self.crashes),
            ("POST", "/_faults"): lambda: self.book.faults.add(Fault.parse(json.loads(body))),
            ("DELETE", "/_faults"): self.book.faults.clear,
            ("POST", "/_reset"): self.reset,
        }
        if (method, path) not in controls:
            return plain({"error": f"the fake has no {method} {path}"}, 404)
        try:
            found = controls[method, path]()
            return plain({} if found is None else found)
        except (ValueError, TypeError) as wrong:
            return plain({"error": str(wrong)}, 400)

    def _state(self) -> dict[str, Any]:
        with self.book.lock:
            return state.document(self.book)


def _answered(error: Refused, method: str = "compute.") -> Answer:
    return refused.answer(error, compute=method.startswith("compute."))


def _parsed(body: bytes) -> tuple[Any, str]:
    """The document of a body, None without one; and what is wrong with it."""
    if not body:
        return None, ""
    try:
        return json.loads(body), ""
    except ValueError as error:
        return None, f"the body is no JSON: {error}"
