"""How the agent shows who it is."""

from __future__ import annotations

import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sim.agent.files.bin.simagent.oauth import Assertion, Pat, guid
from sim.agent.files.bin.simagent.rsa import EXPONENT, Search

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns when threads are there


def test_assertion_says_who_for_whom_and_how_long() -> None:
    key = Search().key()
    now = time.time()
    token = Assertion("client", "https://a.b/token", "https://10.0.0.1/token", key).assertion(now)
    public = rsa.RSAPublicNumbers(EXPONENT, key.modulus).public_key()
    claims = jwt.decode(token, public, algorithms=["RS256"], audience="https://a.b/token")
    assert (claims["iss"], claims["sub"]) == ("client", "client")
    assert claims["exp"] - claims["nbf"] == 300
    assert claims["nbf"] == int(now)
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "RS256"}


def test_pat_is_basic() -> None:
    kind, value = Pat("hunter22").header().split()
    assert kind == "Basic"
    assert base64.b64decode(value) == b"VstsAgent:hunter22"


def test_guids_are_random_and_say_so() -> None:
    first, second = guid(), guid()
    assert first != second
    assert [len(part) for part in first.split("-")] == [8, 4, 4, 4, 12]
    assert first[14] == "4"
    assert first[19] in "89ab"
