"""Keys and signatures are believed only when gpg says so; keys are thrown away after the test."""

import shutil
from collections.abc import Iterator

import pytest

from goldbake import openpgp
from goldbake.errors import DownloadError, MissingError
from tests.keys import Key, keyring

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")

DATA = b"abc  file.zip\n"


@pytest.fixture(scope="module")
def keys() -> Iterator[list[Key]]:
    with keyring("good", "other") as made:
        yield made


def test_the_fingerprint_of_a_key(keys: list[Key]) -> None:
    assert openpgp.fingerprint(keys[0].public, "a test") == keys[0].fingerprint
    assert openpgp.is_available()


def test_a_file_with_two_keys_is_refused(keys: list[Key]) -> None:
    with pytest.raises(DownloadError, match="https://x/key holds 2 OpenPGP keys"):
        openpgp.fingerprint(keys[0].public + keys[1].public, "https://x/key")


@pytest.mark.parametrize("text", [b"", b"<html>sign in</html>", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n"])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(DownloadError, match="holds 0 OpenPGP keys"):
        openpgp.fingerprint(text, "https://x/key")


def test_a_good_signature_is_believed(keys: list[Key]) -> None:
    good = keys[0]
    openpgp.verify(DATA, good.sign(DATA), good.public, good.fingerprint, "https://x/sums")


def test_a_signature_of_the_keys_own_subkey_is_believed() -> None:
    with keyring("publisher") as (key,):
        publisher = key.with_subkey()
        signature = publisher.sign(DATA)
        openpgp.verify(DATA, signature, publisher.public, publisher.fingerprint, "https://x/sums")
        with pytest.raises(DownloadError, match="is not signed by"):
            openpgp.verify(DATA, signature, key.public, key.fingerprint, "https://x/sums")  # that key has no such subkey


def test_changed_data_is_refused(keys: list[Key]) -> None:
    good = keys[0]
    with pytest.raises(DownloadError, match=f"https://x/sums is not signed by {good.fingerprint}"):
        openpgp.verify(DATA + b"more", good.sign(DATA), good.public, good.fingerprint, "https://x/sums")


def test_a_signature_of_another_key_is_refused(keys: list[Key]) -> None:
    good, other = keys
    with pytest.raises(DownloadError, match="is not signed by"):
        openpgp.verify(DATA, other.sign(DATA), good.public, good.fingerprint, "https://x/sums")


def test_another_key_with_its_own_good_signature_is_refused(keys: list[Key]) -> None:
    good, other = keys
    with pytest.raises(DownloadError, match=f"has fingerprint {other.fingerprint}, wanted {good.fingerprint}"):
        openpgp.verify(DATA, other.sign(DATA), other.public, good.fingerprint, "https://x/sums")


def test_what_is_no_signature_is_refused(keys: list[Key]) -> None:
    with pytest.raises(DownloadError, match="is not signed by"):
        openpgp.verify(DATA, b"<html>", keys[0].public, keys[0].fingerprint, "https://x/sums")


def test_without_gpg_nothing_is_believed(keys: list[Key], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="gpg is not installed") as caught:
        openpgp.fingerprint(keys[0].public, "https://x/key")
    assert caught.value.hint == "apt-get install gpg"
