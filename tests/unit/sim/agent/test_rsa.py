"""Keys and signatures, held against another implementation."""

from __future__ import annotations

import os
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.agent.files.bin.simagent.rsa import EXPONENT, Key, Search

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns when threads are there


@pytest.fixture(scope="module")
def key() -> Key:
    return Search().key()


def test_key_is_a_good_one(key: Key) -> None:
    p, q = key._p, key._q
    numbers = rsa.RSAPrivateNumbers(p, q, key.d, key._dp, key._dq, key._qinv, rsa.RSAPublicNumbers(EXPONENT, key.modulus))
    checked = numbers.private_key()  # raises when the numbers do not fit together
    assert checked.key_size == 2048
    assert p.bit_length() == q.bit_length() == 1024
    assert abs(p - q).bit_length() > 924


def test_two_keys_have_nothing_in_common(key: Key) -> None:
    other = Search().key()
    assert {key._p, key._q} & {other._p, other._q} == set()


def test_key_survives_its_file(key: Key) -> None:
    again = Key.of(key.document())
    assert again.document() == key.document()
    assert again.sign(b"x") == key.sign(b"x")


def test_file_of_another_key_is_refused(key: Key) -> None:
    with pytest.raises(ValueError, match="product"):
        Key.of({**key.document(), "modulus": Search().key().document()["modulus"]})


@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=500))
def test_signature_is_accepted_elsewhere(key: Key, data: bytes) -> None:
    public = rsa.RSAPublicNumbers(EXPONENT, key.modulus).public_key()
    public.verify(key.sign(data), data, padding.PKCS1v15(), hashes.SHA256())  # raises when it is not


def test_search_that_is_stopped_leaves_no_process() -> None:
    search = Search()
    children = [pid for pid, _ in search._children]
    started = time.monotonic()
    search.stop()
    assert time.monotonic() - started < 5
    assert [pid for pid in children if os.path.exists(f"/proc/{pid}")] == []  # noqa: PTH110
