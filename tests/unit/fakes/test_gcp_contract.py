"""The fake of Google Cloud keeps to Google's own description, and so must its clients: every way of breaking it is seen to fail."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.fakes.gcp import NEWEST_DEBIAN, TOKEN, ZONE, FakeGcp, contract, refused, serving
from tests.fakes.gcp.contract import ALLOWANCES, Contract
from tests.fakes.gcp.refused import Refused

pytest_plugins = ("pytester",)

INSTANCES = f"/compute/v1/projects/goldbake-fake/zones/{ZONE}/instances"
INSTANCE: dict[str, Any] = {
    "name": "one",
    "machineType": f"zones/{ZONE}/machineTypes/g2-standard-4",
    "disks": [
        {
            "boot": True,
            "autoDelete": True,
            "initializeParams": {"sourceImage": NEWEST_DEBIAN.id, "diskSizeGb": "20", "diskType": "pd-balanced"},
        }
    ],
    "networkInterfaces": [{"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}],
    "scheduling": {"onHostMaintenance": "TERMINATE", "maxRunDuration": {"seconds": "3600"}, "instanceTerminationAction": "DELETE"},
    "metadata": {"items": [{"key": "a", "value": "b"}]},
    "tags": {"items": ["goldbake"]},
}


@pytest.fixture
def fake(running_gcp: FakeGcp) -> Iterator[FakeGcp]:
    """Without the check of `fake_gcp` at the end: here it is what is tested."""
    running_gcp.reset()
    yield running_gcp
    running_gcp.reset()


@pytest.fixture(scope="module")
def words() -> Contract:
    return contract.contract()


def _asked(fake: FakeGcp, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and document that a client gets."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(fake.url + path, data, {"Authorization": f"Bearer {TOKEN}"}, method=verb)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The instance with something else at this path; `...` takes it away."""
    document = deepcopy(INSTANCE)
    inner: Any = document
    *way, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    for name in way:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return document


def test_what_keeps_to_the_description_is_carried_out(fake: FakeGcp) -> None:
    status, operation = _asked(fake, "POST", INSTANCES, INSTANCE)
    assert (status, operation["kind"]) == (200, "compute#operation")
    assert [str(one) for one in fake.held()] == ["instance one in us-central1-a (RUNNING)", "disk one in us-central1-a (READY)"]
    assert fake.crashes == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("machineTyp", "x", "machineTyp is not a field of Instance"),
        ("scheduling.maxRunDuration.hours", "1", "scheduling.maxRunDuration.hours is not a field of Duration"),
        ("disks.0.initializeParams.diskSizeGb", 20, "disks[].initializeParams.diskSizeGb is 20, not a string of digits"),
        (
            "disks.0.initializeParams.diskSizeGb",
            "20GB",
            'disks[].initializeParams.diskSizeGb is "20GB", not an integer (int64) as a string',
        ),
        ("disks.0.initializeParams.diskSizeGb", str(2**63), "not an integer (int64) as a string"),
        ("disks.0.boot", "true", 'disks[].boot is "true", not true or false'),
        ("disks.0.boot", 1, "disks[].boot is 1, not true or false"),
        ("disks", {"boot": True}, "not a list"),
        ("disks.0", "x", 'disks[] is "x", not an object'),
        ("networkInterfaces.0.queueCount", "4", 'networkInterfaces[].queueCount is "4", not an integer (int32)'),
        ("networkInterfaces.0.queueCount", 2**31, "not an integer (int32)"),
        ("networkInterfaces.0.queueCount", True, "not an integer (int32)"),
        ("scheduling.onHostMaintenance", "STOP", 'scheduling.onHostMaintenance is "STOP", not one of MIGRATE, TERMINATE'),
        ("metadata.fingerprint", "not base64!", 'metadata.fingerprint is "not base64!", not base64'),
        ("labels", {"a": 1}, "labels{} is 1, not a string"),
        ("labels", None, "labels is null"),
        ("networkInterfaces.0.network", None, "networkInterfaces[].network is null"),
        ("networkInterfaces.0.accessConfigs.0", "x", 'networkInterfaces[].accessConfigs[] is "x", not an object'),
        ("name", ..., "name is missing"),
        ("name", "One", 'name is "One", not of the form'),
        ("metadata.items.0.key", ..., "metadata.items[].key is missing"),
    ],
)
def test_a_request_that_breaks_it_fails_and_does_nothing(fake: FakeGcp, path: str, value: Any, problem: str) -> None:
    status, _ = _asked(fake, "POST", INSTANCES, _changed(path, value))
    assert status == 500
    (crash,) = fake.crashes
    assert crash.startswith("compute.instances.insert: ")
    assert problem in crash
    assert fake.held() == []


@pytest.mark.parametrize(
    ("verb", "path", "problem"),
    [
        ("GET", f"{INSTANCES}?sort=name", "sort is not a parameter"),
        ("GET", f"{INSTANCES}?maxResults=many", "parameter maxResults is 'many', not an integer from 0 to 4294967295"),
        ("GET", f"{INSTANCES}?maxResults=-1", "parameter maxResults is '-1', not an integer from 0 to 4294967295"),
        ("GET", f"{INSTANCES}?maxResults=1&maxResults=2", "maxResults comes 2 times"),
        ("GET", f"{INSTANCES}?alt=yaml", "parameter alt is 'yaml', not one of json, media, proto"),
        ("GET", f"{INSTANCES}/One", "instance in the path is 'One', not of the form"),
        ("GET", f"{INSTANCES}/one/serialPort?port=5", "parameter port is '5', not an integer from 1 to 4"),
        ("DELETE", f"{INSTANCES}/one?force=true", "force is not a parameter"),
        ("POST", "/compute/v1/projects/goldbake-fake/zones/us-central1-a/disks", "the body is missing"),
        ("POST", f"{INSTANCES}/one/explode", "POST /compute/v1/projects/goldbake-fake/zones/us-central1-a/instances/one/explode: there is no such method"),
        ("GET", "/compute/v1/projects/goldbake-fake/zones/us-central1-a/instance", "there is no such method"),
        ("POST", f"{INSTANCES}/one/suspend", "the fake has no such method"),
    ],
)  # fmt: skip
def test_a_parameter_or_method_that_there_is_not_fails(fake: FakeGcp, verb: str, path: str, problem: str) -> None:
    assert _asked(fake, verb, path)[0] == 500
    assert problem in "\n".join(fake.crashes)


@pytest.mark.parametrize(
    ("path", "value", "unknown"),
    [
        ("displayDevice", {"enableDisplay": True}, "displayDevice"),
        ("scheduling.minNodeCpus", 4, "scheduling.minNodeCpus"),
        ("scheduling.maxRunDuration.nanos", 1, "scheduling.maxRunDuration.nanos"),
        ("disks.0.initializeParams.provisionedIops", "3000", "disks.initializeParams.provisionedIops"),
        ("networkInterfaces.0.accessConfigs.0.publicPtrDomainName", "a.b", "networkInterfaces.accessConfigs.publicPtrDomainName"),
    ],
)
def test_what_the_fake_does_not_understand_is_not_passed_over(fake: FakeGcp, path: str, value: Any, unknown: str) -> None:
    assert _asked(fake, "POST", INSTANCES, _changed(path, value))[0] == 500
    assert fake.crashes == [f"compute.instances.insert: the fake does not know what {unknown} does"]


def test_a_template_is_not_passed_over(fake: FakeGcp) -> None:
    assert _asked(fake, "POST", f"{INSTANCES}?sourceInstanceTemplate=global/instanceTemplates/x", INSTANCE)[0] == 500
    assert fake.crashes == ["compute.instances.insert: the fake has no sourceInstanceTemplate"]


def test_a_body_where_the_method_has_none_fails(fake: FakeGcp) -> None:
    assert _asked(fake, "DELETE", f"{INSTANCES}/one", {"force": True})[0] == 500
    assert fake.crashes == ["compute.instances.delete: a body, where the method has none"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"colour": "red"}, "colour is not a field of Instance"),
        ({"id": 7}, "id is 7, not a string of digits"),
        ({"id": "seven"}, 'id is "seven", not an integer (uint64) as a string'),
        ({"id": "-7"}, 'id is "-7", not an integer (uint64) as a string'),
        ({"status": "ASLEEP"}, 'status is "ASLEEP", not one of'),
        ({"kind": "compute#image"}, 'kind is "compute#image", not compute#instance'),
        ({"canIpForward": "no"}, 'canIpForward is "no", not true or false'),
        ({"disks": [{"source": None}]}, "disks[].source is null"),
        ({"disks": [{"index": "0"}]}, 'disks[].index is "0", not an integer (int32)'),
        ({"labelFingerprint": "?"}, 'labelFingerprint is "?", not base64'),
    ],
)
def test_an_answer_that_breaks_it_fails(fake: FakeGcp, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], problem: str) -> None:
    _asked(fake, "POST", INSTANCES, INSTANCE)
    honest = serving.METHODS["compute.instances.get"]
    monkeypatch.setitem(serving.METHODS, "compute.instances.get", lambda request: honest(request) | change)  # type: ignore[arg-type]
    status, document = _asked(fake, "GET", f"{INSTANCES}/one")
    assert (status, document["error"]["errors"][0]["reason"]) == (500, "internalError")
    (crash,) = fake.crashes
    assert crash.startswith("compute.instances.get: the answer: ")
    assert problem in crash


def test_a_list_in_an_answer_is_looked_at_to_its_end(fake: FakeGcp) -> None:
    for name in ("one", "two"):
        _asked(fake, "POST", INSTANCES, INSTANCE | {"name": name})
    fake.instance("two")["scheduling"]["automaticRestart"] = "maybe"
    assert _asked(fake, "GET", INSTANCES)[0] == 500
    assert "items[].scheduling.automaticRestart" in fake.crashes[0]
    assert _asked(fake, "GET", "/compute/v1/projects/goldbake-fake/aggregated/instances")[0] == 500
    assert "items{}.instances[].scheduling.automaticRestart" in fake.crashes[1]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "an error has an object `error`"),
        ({"error": {"code": "404", "message": "x"}}, "error.code is an HTTP status"),
        ({"error": {"code": 404}}, "error.message is a string"),
        ({"error": {"code": 404, "message": "x", "hint": "y"}}, "error.hint is unknown"),
        ({"error": {"code": 404, "message": "x", "errors": [{"code": "y"}]}}, "error.errors[].code is unknown"),
        ({"error": {"code": 404, "message": "x", "details": [{}]}}, "error.details[] has an @type"),
    ],
)
def test_an_error_of_another_form_is_seen(document: dict[str, Any], problem: str) -> None:
    assert problem in contract.error(document)


def test_an_error_of_another_form_fails_the_test_that_asked(fake: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = refused.answer

    def other(error: Refused, *, compute: bool) -> Any:
        found = honest(error, compute=compute)
        return type(found)(found.status, json.dumps({"fault": "yes"}).encode(), found.headers)

    monkeypatch.setattr(refused, "answer", other)
    assert _asked(fake, "GET", f"{INSTANCES}/one") == (404, {"fault": "yes"})
    assert fake.crashes == ["compute.instances.get: the error: an error has an object `error`"]


def test_a_broken_call_fails_the_test_that_used_the_fixture(pytester: pytest.Pytester) -> None:
    """The fixture of the tests, in a run of its own."""
    pytester.makepyfile(
        """
        import urllib.error, urllib.request
        from tests.conftest import fake_gcp, running_gcp

        def test_it(fake_gcp):
            try:
                urllib.request.urlopen(f"{fake_gcp.url}/compute/v1/projects/p/nonsense")
            except urllib.error.HTTPError:
                pass
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1, errors=1)


# --- the exceptions


def test_every_exception_has_a_reason_and_is_one(words: Contract) -> None:
    """Without it, the description would refuse what is allowed."""
    for one in ALLOWANCES:
        assert one.why, one
    sent = {**INSTANCE, "networkInterfaces": [{"accessConfigs": [None]}]}
    match = words.find("POST", INSTANCES)
    assert match is not None
    assert words.request(match, {}, sent) == []
    sdk = words.find("GET", "/v3/projects/goldbake-fake")
    assert sdk is not None
    assert words.request(sdk, {"$alt": ["json;enum-encoding=int"]}, None) == []
    kept = contract.ALLOWANCES
    try:
        contract.ALLOWANCES = ()
        assert words.request(match, {}, sent) == ["networkInterfaces[].accessConfigs[] is null"]
        assert words.request(sdk, {"$alt": ["json"]}, None) == ["$alt is not a parameter"]
    finally:
        contract.ALLOWANCES = kept


def test_an_exception_is_for_its_place_and_its_value_only(words: Contract) -> None:
    match = words.find("POST", INSTANCES)
    assert match is not None
    other = {**INSTANCE, "networkInterfaces": [{"ipv6AccessConfigs": [None]}]}
    assert words.request(match, {}, other) == ["networkInterfaces[].ipv6AccessConfigs[] is null"]
    bulk = words.find("POST", f"{INSTANCES}/bulkInsert")
    assert bulk is not None
    sent = {"instanceProperties": {"networkInterfaces": [{"accessConfigs": [None]}]}}
    assert words.request(bulk, {}, sent) == ["instanceProperties.networkInterfaces[].accessConfigs[] is null"]
    assert "networkInterfaces[].accessConfigs[] is null" in words.answer(
        words.find("GET", f"{INSTANCES}/one"), {"networkInterfaces": [{"accessConfigs": [None]}]}  # type: ignore[arg-type]
    )[0]  # fmt: skip


# --- which method a request means


@pytest.mark.parametrize(
    ("verb", "path", "id"),
    [
        ("GET", "/compute/v1/projects/p/global/images/family/debian-12", "compute.images.getFromFamily"),
        ("GET", "/compute/v1/projects/p/global/images/debian-12", "compute.images.get"),
        ("POST", "/compute/v1/projects/p/regions/us-central1/instances/bulkInsert", "compute.regionInstances.bulkInsert"),
        ("GET", "/compute/v1/projects/p/aggregated/instances", "compute.instances.aggregatedList"),
        ("GET", "/compute/v1/projects/p", "compute.projects.get"),
        ("GET", "/v1/projects/p", "cloudresourcemanager.v1.projects.get"),
        ("GET", "/v3/projects/p", "cloudresourcemanager.v3.projects.get"),
        ("POST", "/v3/projects/p:testIamPermissions", "cloudresourcemanager.v3.projects.testIamPermissions"),
        ("GET", "/v1/projects/p/services:batchGet", "serviceusage.services.batchGet"),
        ("GET", "/v1/projects/p/services/compute.googleapis.com", "serviceusage.services.get"),
        ("GET", "/v1/projects/p/billingInfo", "cloudbilling.projects.getBillingInfo"),
        ("POST", "/v1/projects/p/serviceAccounts/a@b:testIamPermissions", "iam.projects.serviceAccounts.testIamPermissions"),
    ],
)
def test_a_request_is_matched_with_its_method(words: Contract, verb: str, path: str, id: str) -> None:
    match = words.find(verb, path)
    assert match is not None
    assert match.method.id == id


def test_a_path_of_no_method_is_none(words: Contract) -> None:
    assert words.find("PUT", INSTANCES) is None
    assert words.find("GET", "/compute/v2/projects/p") is None
    assert words.find("GET", "/") is None
