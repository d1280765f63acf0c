"""The fake: moto's EC2 and STS with ours over them, on a port of loopback, for tests and by itself."""

from __future__ import annotations

import io
import json
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.core.model_instances import reset_model_data
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.fakes.aws import instances, moto_changes, quotas, start, state
from tests.fakes.aws.answers import Refused, error
from tests.fakes.aws.book import ACCOUNT, BOOK, REGIONS, Book, Doom, Event
from tests.fakes.aws.calls import Call, Fault, Faults
from tests.fakes.aws.ec2 import FakeEc2, parameters_of
from tests.fakes.aws.seeds import Seed
from tests.fakes.fake import Fake
from tests.fakes.held import Held
from tests.fakes.http import Answer

ACCESS_KEY = "AKIAFAKEFAKEFAKEFAKE"
SECRET_KEY = "fake-secret-key-of-the-tests"
REGION = "us-east-1"
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_SECRETS = ("UserData",)


class FakeAws(Fake[Call, Fault]):
    """A whole account. All in a process are doors to one account: moto's state is the process's."""

    def __init__(self, port: int = 0, *, seeds: Iterable[Seed] | None = None) -> None:
        super().__init__(port, Fault.parse)
        self.answers: list[tuple[Call, Answer]] = []
        """With `keep_answers`, what was answered."""
        self.keep_answers = False
        self.keys = {ACCESS_KEY}
        moto_changes.install(FakeEc2)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._seeds = tuple(seeds) if seeds is not None else None

    # --- life

    def start(self) -> Self:
        self.reset()
        return super().start()

    def reset(self) -> None:
        """An account that was just made: nothing in it, no faults, no calls."""
        with BOOK.lock:
            BOOK.forget()
            if self._seeds is not None:
                BOOK.seeds = self._seeds
            BackendDict.reset()
            reset_model_data()
        self.answers.clear()
        super().reset()

    # --- what a client needs

    def environment(self, region: str = REGION) -> dict[str, str]:
        """The variables that lead boto3, Packer and its plugin here and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    # --- what a test sets

    @property
    def book(self) -> Book:
        """Settings: page, lag, linger, capacity, withheld, quotas, consoles, console_of, address_of, listeners."""
        return BOOK

    @property
    def faults(self) -> Faults:
        return BOOK.faults

    def refuse(self, code: str, action: str = "*", **more: Any) -> None:
        """Answer the next matching call with an error: see `Fault`."""
        BOOK.faults.add(Fault(code, action, **more))

    def doom(self, code: str, message: str = "", *, count: int = 1, region: str = "", zone: str = "", type: str = "") -> None:
        """Let the next `count` matching instances die right after they started, with this StateReason."""
        BOOK.dooms += [Doom(code, message, region, zone, type)] * count

    def end(self, instance_id: str, code: str, message: str = "", *, state_name: str = "terminated") -> None:
        """Change the state of a running instance: terminated, or stopped, with this StateReason."""
        with BOOK.lock:
            for _, backend in state.regions():
                instance = backend.get_instance_by_id(instance_id)
                if instance is None or instance.state == "terminated":
                    continue
                if state_name == "stopped":
                    instance.stop()
                    instance.state_reason.code, instance.state_reason.message = code, message or code
                else:
                    instances.end(backend, instance, code, message)

    def power_off(self, instance_id: str) -> str:
        """What EC2 does when an instance shuts itself down: its own shutdown behaviour decides. Returns the new state."""
        with BOOK.lock:
            for _, backend in state.regions():
                instance = backend.get_instance_by_id(instance_id)
                if instance is not None and instance.state == "running":
                    name = "terminated" if instance.instance_initiated_shutdown_behavior == "terminate" else "stopped"
                    self.end(
                        instance_id,
                        "Client.InstanceInitiatedShutdown",
                        "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
                        state_name=name,
                    )
                    return name
        return ""

    def instance(self, instance_id: str) -> Any:
        """moto's own object. Raises KeyError."""
        for _, backend in state.regions():
            if (found := backend.get_instance_by_id(instance_id)) is not None:
                return found
        raise KeyError(instance_id)

    # --- what a test asks

    def held(self, *, ended: bool = False) -> list[Held]:
        """All that clients made and that is still there; `[str(one) for one in fake.held()] == []` is `nothing left`."""
        with BOOK.lock:
            return state.held(ended=ended)

    def actions(self, *, reading: bool = False) -> list[str]:
        """The names of the calls so far; those that only read are left out unless asked for."""
        passive = ("Describe", "Get", "List")
        return [call.action for call in list(self.calls) if reading or not call.action.startswith(passive)]

    # --- serving

    def _respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        parts = urlsplit(target)
        if parts.path.startswith("/_"):
            return self._control(method, parts.path, body)
        lower = {name.lower(): value for name, value in headers.items()}
        found = _AUTHORIZATION.search(lower.get("authorization", ""))
        form = dict(parse_qsl(body.decode("utf-8", "replace") if method == "POST" else parts.query, keep_blank_values=True))
        action = lower.get("x-amz-target", "").rpartition(".")[2] or form.get("Action", "")
        if found is None:
            return error("ec2", "MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        key, region, service = found.groups()
        call = self._record(service, action, region, form, body)
        answer = self._answered(call, lambda: self._carried_out(call, key, form, method, target, lower, body))
        if self.keep_answers and answer is not None:
            self.answers.append((call, answer))
        return answer

    def _fault(self, call: Call) -> Fault | None:
        return BOOK.faults.take(call)

    def _refusal(self, call: Call, fault: Fault) -> Answer:
        return error(call.service, fault.code, fault.text, fault.http)

    def _carried_out(
        self, call: Call, key: str, form: dict[str, str], method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        code, text, status = "", "", 0
        try:
            if key not in self.keys:
                code = {"sts": "InvalidClientTokenId", "ec2": "AuthFailure"}.get(call.service, "UnrecognizedClientException")
                text, status = "AWS was not able to validate the provided access credentials", 401 if call.service == "ec2" else 403
            elif call.region not in REGIONS:
                code, text, status = "AuthFailure", f"The region {call.region} is not one of this account.", 401
            elif form.get("DryRun") == "true":
                code, text, status = "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
            elif call.service == "servicequotas":
                return quotas.answer(call.action, call.region, json.loads(body or b"{}"), BOOK.quotas)
            else:
                with BOOK.lock:
                    answer = self._moto(method, target, headers, body)
                call.code = _code_in(answer)
                return answer
        except Refused as refused:
            code, text, status = refused.code, refused.message, Fault(refused.code).http
        except Exception:
            self.crashes.append(f"{call.action}\n{traceback.format_exc()}")
            code, text, status = "InternalError", "The fake itself failed.", 500
        call.code = code
        return error(call.service, code, text, status)

    def _record(self, service: str, action: str, region: str, form: dict[str, str], body: bytes) -> Call:
        parameters: dict[str, Any] = {}
        try:
            if service == "ec2":
                parameters = parameters_of(action, form)
            elif body.startswith(b"{"):
                parameters = json.loads(body)
            else:
                parameters = {name: value for name, value in form.items() if name not in ("Action", "Version")}
        except Exception:  # an action that there is not: moto says so
            self.crashes.append(f"{action}\n{traceback.format_exc()}")
        call = Call(0, service, action, region, _without_secrets(parameters))
        if action == "RunInstances" and region in REGIONS:
            with BOOK.lock:
                _place(call, ec2_backends[ACCOUNT][region], parameters)
        return self._keep(call)

    def _moto(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "RAW_URI": target,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self._server.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in headers.items():
            upper = name.upper().replace("-", "_")
            if upper not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
                environ[upper if upper == "CONTENT_TYPE" else f"HTTP_{upper}"] = value
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        pieces = self._app(environ, lambda status, head, trace=None: begun.append((status, head)))
        try:
            content = b"".join(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        status, head = begun[-1]
        return Answer(int(status.split()[0]), content, dict(head))

    def _state(self) -> dict[str, Any]:
        with BOOK.lock:
            return state.document()


def _place(call: Call, backend: Any, parameters: dict[str, Any]) -> None:
    try:
        asked = start.with_template(backend, parameters)
        call.zone, call.type, call.spot = start.zone_of(backend, asked), asked.get("InstanceType", ""), start.is_spot(asked)
    except (Refused, ServiceException):  # it will be refused for that
        return


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: f"({len(str(one))} characters)" if key in _SECRETS else _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _code_in(answer: Answer) -> str:
    if answer.status < 400:
        return ""
    found = re.search(rb"<Code>([^<]+)</Code>", answer.body)
    return found[1].decode() if found else f"HTTP {answer.status}"


__all__ = ["ACCESS_KEY", "ACCOUNT", "REGION", "REGIONS", "SECRET_KEY", "Call", "Event", "FakeAws", "Fault", "Held", "Seed"]
