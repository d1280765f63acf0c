from __future__ import annotations

import base64
import json

import httpx
import pytest

from sim.azdo import SimulatedAzureDevOps
from sim.azdo.pats import MANAGE, READ
from tests.unit.sim.azdo.client import AGENTS, Machine, administrator, connect

CONNECTION = "/_apis/connectionData"
POOLS = "/_apis/distributedtask/pools"


def test_without_a_credential_both_ways_to_log_in_are_named(service: SimulatedAzureDevOps) -> None:
    with connect(service) as nobody:
        answer = nobody.get(CONNECTION)
    assert answer.status_code == 401
    schemes = [value.split()[0] for value in answer.headers.get_list("WWW-Authenticate")]
    assert schemes == ["Bearer", "Basic"]
    assert answer.json()["message"].startswith("TF400813: Resource not available for anonymous access.")


def test_the_user_name_beside_a_token_does_not_matter(service: SimulatedAzureDevOps) -> None:
    for name in ("", "VstsAgent", "somebody@example.com"):
        with connect(service, auth=(name, service.pat)) as client:
            assert client.get(CONNECTION).status_code == 200


def test_an_identity_stays_the_same_for_a_credential(service: SimulatedAzureDevOps, admin: httpx.Client) -> None:
    first, second = (admin.get(CONNECTION).json()["authenticatedUser"] for _ in range(2))
    assert first == second
    with administrator(service, service.add_pat()) as other:
        assert other.get(CONNECTION).json()["authenticatedUser"]["id"] != first["id"]


@pytest.mark.parametrize("kind", ["unknown", "expired", "revoked"])
def test_a_token_that_is_not_valid_opens_nothing(service: SimulatedAzureDevOps, kind: str) -> None:
    pat = {"unknown": "x" * 84, "expired": service.add_pat(expired=True), "revoked": service.add_pat()}[kind]
    if kind == "revoked":
        service.revoke(pat)
    with administrator(service, pat) as client:
        answers = [client.get(CONNECTION), client.get(POOLS), client.post(AGENTS, json={}), client.get("/_apis/nothing")]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert answers[0].json()["message"].startswith("TF400813")


def test_revoking_a_token_does_not_stop_an_agent_that_runs_by_its_key(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    service.revoke(service.pat)
    assert machine.log_in().poll().status_code == 202
    assert service.state()["pats"] == {"active": 0, "expired": 0, "revoked": 1}


def test_tokens_that_were_never_given_out_cannot_be_revoked(service: SimulatedAzureDevOps) -> None:
    with pytest.raises(KeyError):
        service.revoke("something")
    with pytest.raises(ValueError, match="no such scope"):
        service.add_pat(scopes=("vso.everything",))


@pytest.mark.parametrize(
    ("scopes", "read", "manage"), [((MANAGE,), 200, 200), ((READ,), 200, 403), (("vso.build",), 403, 403), ((), 403, 403)], ids=str
)
def test_scopes_decide(service: SimulatedAzureDevOps, machine: Machine, scopes: tuple[str, ...], read: int, manage: int) -> None:
    with administrator(service, service.add_pat(scopes)) as client:
        assert client.get(CONNECTION).status_code == 200
        assert client.get(POOLS).status_code == read
        answer = client.post(AGENTS, json=machine.body())
    assert answer.status_code == manage
    if manage == 403:
        assert answer.json()["typeKey"] == "AccessDeniedException"
        assert "needs Manage permissions for pool Default to perform the action" in answer.json()["message"]


def test_an_agent_manages_nothing(machine: Machine) -> None:
    machine.online()
    http = machine.http
    answers = [http.get(POOLS), http.get(AGENTS), http.post(AGENTS, json=machine.body(name="b")), http.delete(f"{AGENTS}/{machine.id}")]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert http.get(CONNECTION).status_code == 200


@pytest.mark.parametrize("how", ["newline", "no padding", "no colon", "other scheme", "not base64", "not text"])
def test_credentials_that_are_not_canonical_are_refused(service: SimulatedAzureDevOps, how: str) -> None:
    plain = f"xx:{service.pat}".encode()
    value = {
        "newline": "Basic " + base64.b64encode(plain + b"\n").decode(),
        "no padding": "Basic " + base64.b64encode(b"x" + plain).decode().rstrip("="),
        "no colon": "Basic " + base64.b64encode(service.pat.encode()).decode(),
        "other scheme": "Digest " + base64.b64encode(plain).decode(),
        "not base64": "Basic §".encode("latin-1"),
        "not text": "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    }[how]
    with connect(service) as client:
        assert (
            client.get(CONNECTION, headers=[(b"Authorization", value if isinstance(value, bytes) else value.encode())]).status_code == 401
        )


def test_an_unknown_organization_is_not_found_before_any_credential_is_looked_at(service: SimulatedAzureDevOps) -> None:
    with connect(service) as client:
        answer = client.get(f"https://127.0.0.1:{service.port}/other/_apis/connectionData")
    assert answer.status_code == 404
    assert "The resource cannot be found." in answer.text


@pytest.mark.parametrize(("rejection", "status"), [("203", 203), ("302", 302), ("401", 401)])
def test_a_refused_token_can_be_answered_in_all_ways_that_were_reported(rejection: str, status: int) -> None:
    with SimulatedAzureDevOps(rejection=rejection) as service, administrator(service, "wrong", held=False) as client:
        answer = client.get(POOLS)
    assert answer.status_code == status
    if status != 401:
        assert answer.headers["Content-Type"].startswith("text/html")
    assert ("Location" in answer.headers) == (status == 302)


def test_a_change_needs_an_api_version_and_a_look_does_not(service: SimulatedAzureDevOps) -> None:
    with connect(service, held=False, auth=("x", service.pat), headers={"Accept": "application/json"}) as client:
        assert client.get(POOLS).status_code == 200
        answer = client.post(POOLS, json={"name": "gpu"})
        assert (answer.status_code, answer.json()["typeKey"]) == (400, "VssVersionNotSpecifiedException")
        assert client.post(POOLS, params={"api-version": "7.1"}, json={"name": "gpu"}).status_code == 200


def test_nothing_that_is_kept_holds_a_credential(service: SimulatedAzureDevOps, machine: Machine) -> None:
    machine.online()
    machine.poll()
    bearer = machine.http.headers["Authorization"].split()[1]
    kept = json.dumps([vars(request) for request in service.requests]) + json.dumps(service.state())
    basic = base64.b64encode(f"anybody:{service.pat}".encode()).decode()
    assert all(secret not in kept for secret in (service.pat, bearer, basic))
    assert {request.headers.get("authorization") for request in service.requests} == {"Basic ***", "Bearer ***", None}
    registration = next(request for request in service.requests if request.path.endswith("/agents"))
    assert json.loads(registration.body)["name"] == "agent-1"
    assert (registration.method, registration.status) == ("POST", 200)


def test_the_service_keeps_no_token_in_what_it_knows(service: SimulatedAzureDevOps) -> None:
    pat = service.add_pat()
    assert pat not in repr(vars(service._state.pats))
    assert len(pat) == 84
