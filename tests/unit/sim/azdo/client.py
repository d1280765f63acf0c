"""Clients of the simulated service, over real TLS; every answer that they receive is held against Microsoft's API description."""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sim.azdo import SimulatedAzureDevOps
from sim.azdo.contract import Description, find
from sim.azdo.errors import STATUS
from sim.azdo.routes import ROUTER

CHECKOUT = Path(__file__).parents[4]
FOLDER = find(CHECKOUT)
DESCRIPTION = Description(FOLDER) if FOLDER else None
VERSION = {"Accept": "application/json; api-version=7.1"}
AGENTS = "/_apis/distributedtask/pools/1/agents"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATIENCE_S = 60.0
"""Seconds until something that was waited for counts as not happening."""


class Clock:
    """Seconds that a test turns."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {PATIENCE_S:g} s"
        time.sleep(0.02)


def hold(response: httpx.Response) -> None:
    """Fail when an answer, or the request that was accepted, is not what the description says."""
    response.read()
    request = response.request
    path = request.url.path
    assert response.headers["X-Simulated-Service"] == "azure-devops"
    if path.startswith("/_") or DESCRIPTION is None:
        return
    if response.status_code >= 400:
        if response.headers.get("Content-Type", "").startswith("application/json") and "typeKey" in response.json():
            assert response.json()["typeKey"] in STATUS
            assert response.json().keys() == {"$id", "innerException", "message", "typeName", "typeKey", "errorCode", "eventId"}
        return
    route, _ = ROUTER.find(request.method, path.split("/", 2)[2])
    problems = DESCRIPTION.problems(
        request.method, path, dict(request.url.params), dict(request.headers), request.content.decode(), response.status_code, response.text
    )
    if route.source:
        assert problems is None, f"{request.method} {path} is described"
        problems = DESCRIPTION.type_problems(request.content.decode(), route.takes) if route.takes else []
        problems += DESCRIPTION.type_problems(response.text, route.gives) if route.gives and response.status_code == 200 else []
    assert not problems, "\n".join([f"{request.method} {path}", *problems])


def connect(
    service: SimulatedAzureDevOps, *, held: bool = True, timeout: float | httpx.Timeout = PATIENCE_S, **options: Any
) -> httpx.Client:
    """A client of the organization that trusts the service's certificate authority and nothing else; `held` to the description."""
    trust = ssl.create_default_context(cadata=service.ca_pem)
    hooks = {"response": [hold]} if held else {}
    headers = {**VERSION, **options.pop("headers", {})}
    return httpx.Client(verify=trust, base_url=service.url, trust_env=False, event_hooks=hooks, headers=headers, timeout=timeout, **options)


def administrator(service: SimulatedAzureDevOps, pat: str | None = None, **options: Any) -> httpx.Client:
    """A client with a personal access token, by default the service's own."""
    return connect(service, auth=("anybody", service.pat if pat is None else pat), **options)


def modulus(key: rsa.RSAPrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    return base64.b64encode(numbers.n.to_bytes((key.key_size + 7) // 8, "big")).decode()


KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]


class Machine:
    """What an agent does over the wire: it registers with a token, then speaks by its own key."""

    def __init__(self, service: SimulatedAzureDevOps, name: str = "agent-1", *, key: rsa.RSAPrivateKey = KEYS[0], pool: int = 1) -> None:
        self.service = service
        self.name = name
        self.key = key
        self.base = f"/_apis/distributedtask/pools/{pool}"
        self.session = ""
        self.http = connect(service)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": self.name,
            "maxParallelism": 1,
            "provisioningState": "Provisioned",
            "version": "4.255.0",
            "osDescription": "Linux 6.1",
            "systemCapabilities": {"Agent.Name": self.name, "GPU_NAME": "T4"},
            "authorization": {"publicKey": {"exponent": "AQAB", "modulus": modulus(self.key)}},
            **changes,
        }

    def register(self, **changes: Any) -> Machine:
        with administrator(self.service) as admin:
            answer = admin.post(f"{self.base}/agents", json=self.body(**changes))
            assert answer.status_code == 200, answer.text
        return self.take(answer.json())

    def take(self, registered: dict[str, Any]) -> Machine:
        self.id: int = registered["id"]
        self.client_id: str = registered["authorization"]["clientId"]
        self.audience: str = registered["authorization"]["authorizationUrl"]
        return self

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "nbf": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def exchange(self, assertion: str | None = None, **form: str) -> httpx.Response:
        assertion = jwt.encode(self.claims(), self.key, "RS256") if assertion is None else assertion
        fields = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        return self.http.post("/_apis/oauth2/token", data=fields | form)

    def log_in(self) -> Machine:
        answer = self.exchange()
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return self

    def open(self) -> httpx.Response:
        agent = {"id": self.id, "name": self.name, "version": "4.255.0", "osDescription": "Linux 6.1"}
        answer = self.http.post(f"{self.base}/sessions", json={"ownerName": "host", "agent": agent, "systemCapabilities": {}})
        if answer.status_code == 200:
            self.session = answer.json()["sessionId"]
        return answer

    def online(self) -> Machine:
        self.register().log_in()
        assert self.open().status_code == 200
        return self

    def close(self) -> httpx.Response:
        return self.http.delete(f"{self.base}/sessions/{self.session}")

    def poll(self, last: int | None = None) -> httpx.Response:
        query = {"sessionId": self.session} | ({} if last is None else {"lastMessageId": str(last)})
        return self.http.get(f"{self.base}/messages", params=query)

    def delete(self, message: int) -> httpx.Response:
        return self.http.delete(f"{self.base}/messages/{message}", params={"sessionId": self.session})

    def update(self, request_id: int, **body: Any) -> httpx.Response:
        query = {"lockToken": str(uuid.UUID(int=0))}
        return self.http.patch(f"{self.base}/jobrequests/{request_id}", params=query, json={"requestId": request_id, **body})

    def status(self) -> str:
        return next(agent["status"] for agent in self.service.state()["agents"] if agent["id"] == self.id)
