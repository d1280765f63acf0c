from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from sim.azdo import SimulatedAzureDevOps
from tests.unit.sim.azdo.client import AGENTS, KEYS, Clock, Machine, administrator


@dataclass(frozen=True)
class Seconds:
    """A time by its distance from now, so that the tests have the same names in every process."""

    ahead: int


def test_an_agent_receives_a_token_for_its_assertion(machine: Machine) -> None:
    answer = machine.register().exchange().json()
    assert answer.keys() == {"access_token", "expires_in", "token_type"}
    assert (answer["expires_in"], answer["token_type"]) == (2999, "JWT")


def test_the_token_opens_connection_data_of_its_agent(machine: Machine) -> None:
    machine.register().log_in()
    data = machine.http.get("/_apis/connectionData").json()
    assert data["authenticatedUser"]["providerDisplayName"] == "agent-1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": "somebody"}, "sub is not iss"),
        ({"aud": "https://127.0.0.1/other"}, "Audience"),
        ({"aud": None}, "aud"),
        ({"jti": None}, "jti"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
        ({"iss": "11111111-1111-1111-1111-111111111111"}, "not registered"),
        ({"exp": Seconds(-900), "nbf": Seconds(-1200)}, "Current server time is"),
        ({"nbf": Seconds(900), "exp": Seconds(1200)}, "Current server time is"),
        ({"exp": Seconds(86400)}, "lives longer"),
        ({"exp": "soon"}, "must be numbers"),
        ({"exp": math.nan}, "must be numbers"),
        ({"exp": math.inf}, "must be numbers"),
    ],
    ids=str,
)
def test_an_assertion_that_is_not_right_is_refused_by_name(machine: Machine, changes: dict[str, Any], reason: str) -> None:
    machine.register()
    now = int(time.time())
    claims = {name: now + value.ahead if isinstance(value, Seconds) else value for name, value in changes.items()}
    answer = machine.exchange(jwt.encode(machine.claims(**claims), machine.key, "RS256"))
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_client", "invalid_request")
    assert reason in answer.json()["error_description"]


def test_the_key_must_be_the_registered_one(machine: Machine) -> None:
    machine.register()
    assert machine.exchange(jwt.encode(machine.claims(), KEYS[1], "RS256")).json()["error"] == "invalid_client"


def test_only_rs256_counts(machine: Machine) -> None:
    machine.register()
    unsigned = jwt.encode(machine.claims(), None, "none")
    assert machine.exchange(unsigned).json()["error"] == "invalid_client"
    assert machine.exchange(jwt.encode(machine.claims(), machine.key, "RS512")).json()["error"] == "invalid_client"
    symmetric = jwt.encode(machine.claims(), "a secret of at least thirty-two bytes", "HS256")
    assert machine.exchange(symmetric).json()["error"] == "invalid_client"


def test_an_assertion_is_used_once(machine: Machine) -> None:
    machine.register()
    assertion = jwt.encode(machine.claims(), machine.key, "RS256")
    assert machine.exchange(assertion).status_code == 200
    assert "used before" in machine.exchange(assertion).json()["error_description"]


def test_the_form_must_be_the_described_one(machine: Machine) -> None:
    machine.register()
    assert machine.exchange(grant_type="password").json()["error"] == "unsupported_grant_type"
    assert machine.exchange(client_assertion_type="saml").json()["error"] == "invalid_request"
    assert machine.exchange("no token").json()["error"] == "invalid_request"


def test_the_clock_of_an_agent_may_be_off_by_minutes(machine: Machine) -> None:
    machine.register()
    now = int(time.time())
    for off in (-250, 250):
        claims = machine.claims(nbf=now + off, exp=now + off + 300)
        assert machine.exchange(jwt.encode(claims, machine.key, "RS256")).status_code == 200


def test_a_token_ends_with_its_time(clock: Clock) -> None:
    with SimulatedAzureDevOps(token_seconds=3000, now=clock) as service, Machine(service) as machine:
        machine.register().log_in()
        clock.now += 2999
        assert machine.http.get("/_apis/connectionData").status_code == 200
        clock.now += 1
        answer = machine.http.get("/_apis/connectionData")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_tokens_can_be_made_to_expire_and_the_agent_fetches_another(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    service.expire_tokens()
    assert machine.poll().status_code == 401
    assert machine.log_in().poll().status_code == 202


def test_a_registration_without_key_is_answered_without_authorization(service: SimulatedAzureDevOps, machine: Machine) -> None:
    with administrator(service) as admin:
        answer = admin.post(AGENTS, json=machine.body(authorization={}))
    assert "authorization" not in answer.json()
    assert service.state()["agents"][0]["key"] is None
