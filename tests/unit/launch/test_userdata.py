"""What the launcher writes is what first boot accepts, and both compute the same name."""

from __future__ import annotations

import json

import pytest
from firstboot import userdata as inside
from firstboot.errors import Problem
from hypothesis import given
from hypothesis import strategies as st

from goldbake.config.model import Cloud
from goldbake.errors import UsageError
from goldbake.secret import Secret
from launch import userdata
from launch.userdata import UserData

_TEXT = st.text(max_size=30)
_PAT = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90)


def _told(**changes: object) -> UserData:
    return UserData(**{"organization": "https://dev.azure.com/foo", "pat": Secret("p" * 52), **changes})  # type: ignore[arg-type]


def test_the_text_is_a_first_line_and_one_json_object() -> None:
    text = _told(pool="GPU pool", ttl=60).text(Cloud.AWS).reveal()
    first, _, rest = text.partition("\n")
    assert first == "#cloud-config"
    assert json.loads(rest) == {
        "goldbake": {"organization": "https://dev.azure.com/foo", "pat": "p" * 52, "pool": "GPU pool", "prefix": "goldbake", "ttl": 60}
    }


def test_first_boot_reads_every_key_as_it_was_meant() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    told = _told(labels={"GPU": "a100"}, work="w", proxy="http://p:8080", ca=pem, ephemeral=True, ttl=3600, prefix="x.y", pool="P")
    found = inside.parse(told.text(Cloud.LOCAL).reveal().encode())
    assert (found.url, found.pat, found.pool, found.prefix) == ("https://dev.azure.com/foo", "p" * 52, "P", "x.y")
    assert (found.labels, found.work, found.proxy, found.ca) == ({"GPU": "a100"}, "w", "http://p:8080", pem)
    assert (found.ephemeral, found.ttl) == (True, 3600)


@given(
    pat=_PAT,
    pool=st.just("GPU pool") | _TEXT,
    prefix=st.just("g") | st.text(alphabet="aZ0._-", max_size=42) | _TEXT,
    labels=st.just({}) | st.dictionaries(st.text(alphabet="AZ_9", max_size=4) | _TEXT, _TEXT, max_size=3),
    work=st.just("") | _TEXT,
    proxy=st.just("") | st.from_regex(r"https?://[a-z0-9.:]{0,12}/?", fullmatch=True) | _TEXT,
    ttl=st.just(0) | st.integers(-5, 10**12),
)
def test_what_we_accept_first_boot_accepts(
    pat: str, pool: str, prefix: str, labels: dict[str, str], work: str, proxy: str, ttl: int
) -> None:
    told = _told(pat=Secret(pat), pool=pool, prefix=prefix, labels=labels, work=work, proxy=proxy, ttl=ttl)
    try:
        text = told.text(Cloud.LOCAL).reveal()
    except UsageError:
        return
    found = inside.parse(text.encode())
    assert (found.pat, found.pool, found.prefix, found.labels) == (pat, pool, prefix, labels)


@given(label=st.text(alphabet="AaZ_09é-", max_size=4), value=_TEXT)
def test_labels_are_judged_alike_on_both_sides(label: str, value: str) -> None:
    text = "#cloud-config\n" + json.dumps({"goldbake": {"organization": "foo", "pat": "x", "labels": {label: value}}})
    try:
        inside.parse(text.encode())
    except Problem:
        with pytest.raises(UsageError):
            _told(labels={label: value}).text(Cloud.LOCAL)
    else:
        _told(labels={label: value}).text(Cloud.LOCAL)


@given(prefix=st.text(max_size=50), instance=st.text(max_size=120))
def test_both_sides_compute_the_same_agent_name(prefix: str, instance: str) -> None:
    assert userdata.agent_name(prefix, instance) == inside.agent_name(prefix, instance)


@pytest.mark.parametrize("cloud", list(Cloud))
def test_more_than_fits_is_refused_with_its_size(cloud: Cloud) -> None:
    labels = {f"LABEL_{number}": "x" * 1000 for number in range(17)}
    with pytest.raises(UsageError, match=r"would have 1[0-9]{4} bytes; 16384 is the most"):
        _told(labels=labels).text(cloud)


def test_reserved_labels_are_the_same_on_both_sides() -> None:
    assert userdata._RESERVED.pattern == inside.RESERVED.pattern


def test_a_value_of_a_label_is_never_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        _told(labels={"KEY": "secret\n"}).text(Cloud.LOCAL)
    assert "secret" not in caught.value.message + caught.value.hint
