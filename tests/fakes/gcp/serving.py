"""How a request is answered: who asks, whether it keeps to Google's description, what carries it out, whether the answer keeps to it too."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from tests.fakes.fake import Fake
from tests.fakes.gcp import bulk, contract, disks, images, instances, networks, operations, places, projects, refused
from tests.fakes.gcp.access import APIS, Access, refuse_api, refuse_permission
from tests.fakes.gcp.book import Book
from tests.fakes.gcp.calls import START, Call, Fault, Faults, without_secrets
from tests.fakes.gcp.contract import Match
from tests.fakes.gcp.paths import last
from tests.fakes.gcp.refused import Broken, Refused, missing
from tests.fakes.gcp.request import Methods, Request
from tests.fakes.http import Answer
from tests.fakes.http import document as plain

METHODS: Methods = {
    **instances.METHODS, **bulk.METHODS, **disks.METHODS, **images.METHODS, **networks.METHODS, **operations.METHODS, **places.METHODS,
    **projects.METHODS,
}  # fmt: skip
_PUBLIC = ("compute.images.get", "compute.images.getFromFamily", "compute.images.list")


class Serving(Fake[Call, Fault]):
    """The side of the fake that clients see."""

    def __init__(self, port: int, book: Book) -> None:
        super().__init__(port, Fault.parse)
        self.keep_answers = True
        """Each call knows what it was answered."""
        self.book = book
        """Settings (page, lag, operation_s, wait_s, capacity, withheld, unreachable, quotas, policies, …) and what it holds."""
        self.access = Access(book.project)
        self.project = book.project
        self._contract = contract.contract()

    @property
    def faults(self) -> Faults:
        return self.book.faults

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """The answer to a client; None: the connection is cut off."""
        parts = urlsplit(target)
        if (method, parts.path) == ("POST", "/token"):
            status, found = self.access.token(dict(parse_qsl(body.decode("utf-8", "replace"))))
            return plain(found, status)
        path = unquote(parts.path)
        match = self._contract.find(method, path)
        if match is None:
            self._crash(f"{method} {path}: there is no such method")
            return self._told(Refused("internalError", "The fake knows no such method.", 500))
        query = parse_qs(parts.query, keep_blank_values=True)
        document, broken = _parsed(body)
        call = self._record(match, query, document)
        authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        answer = self._answered(call, lambda: self._carried_out(call, match, query, document, broken, authorization))
        if answer is not None:
            call.status = answer.status
            if self.keep_answers:
                call.kept = answer.body
        return answer

    def _fault(self, call: Call) -> Fault | None:
        self.book.pass_time()
        found = self.book.faults.take("insert", call.method, call.zone, call.type, call.spot)
        if found is None and call.type:
            found = self.book.faults.take("insert", START, call.zone, call.type, call.spot)
        return found

    def _refusal(self, call: Call, fault: Fault) -> Answer:
        return self._told(Refused(fault.code, fault.text, fault.http, details=fault.details), call.method)

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
            return self._told(error, call.method)
        except Broken as error:
            self._crash(f"{call.method}: {error}")
        except Exception:
            self._crash(f"{call.method}\n{traceback.format_exc()}")
        call.code = "internalError"
        return self._told(Refused("internalError", f"The fake itself failed: {self.crashes[-1].splitlines()[-1]}", 500), call.method)

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

    def _told(self, error: Refused, method: str = "compute.") -> Answer:
        """An error as the method's service tells it, held to the form that all of them have."""
        found = refused.answer(error, compute=method.startswith("compute."))
        for problem in contract.error(json.loads(found.body)):
            self._crash(f"{method}: the error: {problem}")
        return found

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
        return self._keep(call)

    def _crash(self, text: str) -> None:
        with self._mutex:
            self.crashes.append(text)


def _parsed(body: bytes) -> tuple[Any, str]:
    """The document of a body, None without one; and what is wrong with it."""
    if not body:
        return None, ""
    try:
        return json.loads(body), ""
    except ValueError as error:
        return None, f"the body is no JSON: {error}"
