"""User-data: what is accepted, what is refused and how it is said, and that no bytes whatever make a traceback or show the PAT."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from firstboot import userdata
from firstboot.errors import Problem
from firstboot.userdata import KEYS, LIMIT, RESERVED, agent_name, is_ours, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAT = "p4t7oken7oken7oken7oken7oken7oken7oken7oken7oken7oke"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
LEAST = {"organization": "contoso", "pat": PAT}


def data(goldbake: object, **more: object) -> bytes:
    return ("#cloud-config\n" + json.dumps({"goldbake": goldbake, **more})).encode()


def refused(text: bytes) -> str:
    with pytest.raises(Problem) as caught:
        parse(text)
    assert caught.value.kind == "input"
    assert PAT not in caught.value.reason
    assert "\n" not in caught.value.reason
    return caught.value.reason


def test_r07_organization_and_pat_are_enough() -> None:
    found = parse(data(LEAST))
    assert (found.url, found.pat, found.pool, found.prefix, found.work) == (
        "https://dev.azure.com/contoso",
        PAT,
        "Default",
        "goldbake",
        "_work",
    )
    assert (found.labels, found.proxy, found.ca, found.ephemeral, found.ttl) == ({}, "", "", False, 0)


def test_r07_every_key_arrives() -> None:
    wanted = {
        "pool": "gpu pool é",
        "prefix": "ci.7",
        "labels": {"GPU_TYPE": "L4 = big", "_x": "ü"},
        "work": "/mnt/work dir",
        "proxy": "http://proxy.example.com:3128/",
        "ca": CA + CA,
        "ephemeral": True,
        "ttl": 14400,
    }
    found = parse(data({**LEAST, **wanted}))
    for key, value in wanted.items():
        assert getattr(found, key) == (value.rstrip("/") if key == "proxy" else value)  # type: ignore[attr-defined]


def test_the_documented_defaults_are_the_true_ones() -> None:
    found = userdata.Input()
    for key, (kind, default, _) in KEYS.items():
        if default is not None:
            value = getattr(found, key)
            assert (json.dumps(value) if kind != "string" else value) == default


@pytest.mark.parametrize("key", ["organization", "pat"])
def test_r07_a_required_key_is_named(key: str) -> None:
    assert refused(data({name: value for name, value in LEAST.items() if name != key})) == f"goldbake.{key} is missing"


def test_r07_an_unknown_key_is_named() -> None:
    assert refused(data({**LEAST, "tokn": "x"})) == "goldbake has an unknown key tokn"
    assert refused(data(LEAST, users=[])) == "user-data has an unknown key users"
    assert "(a name with other characters" in refused(data({**LEAST, "a\nb": "x"}))


@pytest.mark.parametrize("key", ["organization", "pat", "pool", "prefix", "work", "proxy", "ca"])
@pytest.mark.parametrize("value", ["", "   ", "\n"])
def test_r07_an_empty_value_is_refused_by_its_key(key: str, value: str) -> None:
    assert refused(data({**LEAST, key: value})).startswith(f"goldbake.{key} ")


@pytest.mark.parametrize("key", ["organization", "pat", "pool", "prefix", "work", "proxy", "ca"])
@pytest.mark.parametrize("char", ["\0", "\x1b", "\x7f", "\x85", "\u2028", "\ud800"])
def test_r07_control_characters_are_refused_by_their_key(key: str, char: str) -> None:
    assert refused(data({**LEAST, key: f"a{char}b"})).startswith(f"goldbake.{key} has ")


@pytest.mark.parametrize("key", ["organization", "pat", "pool", "prefix", "work", "proxy", "ca", "labels", "ephemeral", "ttl"])
@pytest.mark.parametrize("value", [None, [], 1.5, {"a": 1}, ["x"]])
def test_r07_a_wrong_type_is_refused_by_its_key(key: str, value: object) -> None:
    assert refused(data({**LEAST, key: value})).startswith(f"goldbake.{key}")


def test_r07_a_line_end_after_the_pat_is_trimmed() -> None:
    assert parse(data({**LEAST, "pat": f"{PAT}\r\n"})).pat == PAT
    assert "control characters" in refused(data({**LEAST, "pat": f"{PAT}\nx"}))


def test_r07_more_than_16_kib_is_refused() -> None:
    room = LIMIT - len(data({**LEAST, "labels": {"A": ""}}))
    assert refused(data({**LEAST, "labels": {"A": "x" * (room + 1)}})) == f"user-data is larger than {LIMIT} bytes"
    assert "labels.A is longer" in refused(data({**LEAST, "labels": {"A": "x" * room}}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "first line"),
        (b"#!/bin/sh\ngoldbake", "first line"),
        (b"#cloud-config\n", "not JSON (line 2, column 1)"),
        (b"#cloud-config\n{", "not JSON (line 2, column 2)"),
        (b'#cloud-config\n{"goldbake": {}} {}', "not JSON"),
        (b"#cloud-config\n[]", "not one JSON object"),
        (b'#cloud-config\n{"goldbake": []}', "not one JSON object"),
        (b'#cloud-config\n{"goldbake": {}}', "goldbake.organization is missing"),
        (b"#cloud-config\n\xff", "not UTF-8"),
        (b"#cloud-config\n" + b"[" * 9000, "not JSON"),
        (b'#cloud-config\n{"goldbake": {"ttl": ' + b"9" * 9000 + b"}}", ""),
        (b'#cloud-config\n{"goldbake": {"ttl": NaN}}', "NaN"),
        (b'#cloud-config\n{"goldbake": {"pat": "a", "pat": "b"}}', "the key pat twice"),
    ],
)
def test_r07_what_is_not_the_expected_form_is_refused(text: bytes, reason: str) -> None:
    assert reason in refused(text)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("foo", "https://dev.azure.com/foo"),
        ("Foo-7", "https://dev.azure.com/Foo-7"),
        ("https://dev.azure.com/foo/", "https://dev.azure.com/foo"),
        ("https://devops.example.com:8443/tfs/My%20Collection", "https://devops.example.com:8443/tfs/My%20Collection"),
        ("https://10.0.2.2:4443/demo", "https://10.0.2.2:4443/demo"),
        ("https://[fd00::1]:4443/demo", "https://[fd00::1]:4443/demo"),
    ],
)
def test_r08_organization_is_a_name_or_an_https_url(given: str, url: str) -> None:
    assert parse(data({**LEAST, "organization": given})).url == url


@pytest.mark.parametrize(
    "given",
    ["http://dev.azure.com/foo", "-foo", "foo-", "a b", "foo/bar", "https://", "https://user:secret@dev.azure.com/foo", "ftp://x/y",
     "https://dev.azure.com/foo?x=1", "https://dev.azure.com/foo#x", "https://dev.azure.com:0/foo", "https://dev.azure.com:99999/foo", "f" * 51, "é"],
)  # fmt: skip
def test_r08_anything_else_is_refused(given: str) -> None:
    assert refused(data({**LEAST, "organization": given})) == "goldbake.organization is neither a name nor an https URL"


@pytest.mark.parametrize("proxy", ["socks5://x", "proxy:3128", "http://user:secret@proxy:3128", "http://proxy:0", "http://proxy:70000"])
def test_a_proxy_is_a_url_without_a_password(proxy: str) -> None:
    assert "goldbake.proxy is not" in refused(data({**LEAST, "proxy": proxy}))


@pytest.mark.parametrize("ca", ["x", CA.replace("CERTIFICATE", "PRIVATE KEY"), CA + "more"])
def test_a_ca_is_certificates_only(ca: str) -> None:
    assert "goldbake.ca is not" in refused(data({**LEAST, "ca": ca}))


@pytest.mark.parametrize("key", ["pool", "work"])
@pytest.mark.parametrize("value", ["--replace", "-x", " x", "x "])
def test_r12_a_value_cannot_be_taken_for_an_argument(key: str, value: str) -> None:
    assert f"goldbake.{key} begins with - or has blanks" in refused(data({**LEAST, key: value}))


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "VSTS_AGENT_HTTPTRACE", "vso_agent_ignore", "AGENT_ALLOW_RUNASROOT", "VSS_ALLOW_UNSAFE_BASICAUTH"]
)
def test_r04_a_label_cannot_change_how_the_agent_works(name: str) -> None:
    assert "is reserved" in refused(data({**LEAST, "labels": {name: "1"}}))
    assert RESERVED.fullmatch("GPU_NAME") is None


@pytest.mark.parametrize("name", ["", "7UP", "A-B", "A B", "Ä"])
def test_a_label_is_named_like_a_variable(name: str) -> None:
    assert "is no name of a variable" in refused(data({**LEAST, "labels": {name: "1"}}))


@pytest.mark.parametrize("ttl", [0, -1, True, 10**12])
def test_a_ttl_is_a_time_to_come(ttl: int) -> None:
    assert "goldbake.ttl is not" in refused(data({**LEAST, "ttl": ttl}))


def test_r13_a_name_is_prefix_and_instance_id() -> None:
    assert agent_name("goldbake", "i-0abc") == "goldbake-i-0abc"
    assert agent_name("goldbake", "i-0abc") != agent_name("goldbake", "i-0abd")
    assert agent_name("p", "a b/c") == "p-a-b-c"
    assert agent_name("goldbake", "goldbake-l1-1") == "goldbake-l1-1"  # as machines are called where their name is ours
    assert agent_name("gold", "goldbake-l1-1") == "gold-goldbake-l1-1"


@given(st.from_regex(r"\A[A-Za-z0-9._-]{1,40}\Z"), st.text(max_size=200))
def test_r13_a_name_is_at_most_80_harmless_characters(prefix: str, instance: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", agent_name(prefix, instance))
    assert agent_name(prefix, instance) == agent_name(prefix, instance)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
GOLDBAKE = st.dictionaries(st.sampled_from([*KEYS, "other"]) | st.text(max_size=12), VALUES, max_size=12)


def holds(text: bytes) -> None:
    """Whatever it is: checked input, or a reason that names something and shows nothing."""
    assert is_ours(text) in {True, False}
    found: userdata.Input | Problem
    try:
        found = parse(text)
    except Problem as problem:
        found = problem
    if isinstance(found, Problem):
        assert found.kind == "input"
        assert re.fullmatch(r"(user-data|goldbake|the first line)[\x20-\x7e]{3,300}", found.reason), found.reason
        assert PAT not in found.reason
    else:
        assert found.url.startswith("https://")
        assert found.pat
        for name, value in [("pat", found.pat), ("pool", found.pool), ("work", found.work), *found.labels.items()]:
            value.encode("utf-8")
            assert "\n" not in value, name


MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@MANY
@given(st.binary(max_size=600))
def test_r07_no_bytes_make_a_traceback(text: bytes) -> None:
    holds(text)
    holds(b"#cloud-config\n" + text)


@pytest.mark.slow
@MANY
@given(VALUES)
def test_r07_no_json_makes_a_traceback(value: object) -> None:
    holds(b"#cloud-config\n" + json.dumps(value).encode())


@pytest.mark.slow
@MANY
@given(GOLDBAKE)
def test_r07_no_values_make_a_traceback(goldbake: dict[str, Any]) -> None:
    holds(data({**LEAST, **goldbake}))


@pytest.mark.slow
@MANY
@given(st.sampled_from([*KEYS]), VALUES)
def test_r07_no_single_value_makes_a_traceback(key: str, value: object) -> None:
    holds(data({**LEAST, key: value}))


@pytest.mark.slow
@MANY
@given(st.integers(min_value=0, max_value=400), st.binary(max_size=4))
def test_r07_no_damage_of_good_user_data_makes_a_traceback(at: int, with_: bytes) -> None:
    good = data({**LEAST, "labels": {"A": "b"}, "ttl": 60, "ephemeral": True, "ca": CA})
    holds(good[:at] + with_ + good[at + len(with_) :])
    holds(good[:at])
