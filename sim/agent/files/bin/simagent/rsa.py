"""RSA-2048: a new key, its file, and RS256 signatures.

Both primes are searched at once, each in a child process, while the agent connects. Measured (mean of 40): one prime 0.13 s of a CPU here,
both 0.23 s in `openssl genrsa`, which uses one CPU; so where there are two this is the faster way, and it needs no parser for what openssl prints.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
from _hashlib import openssl_sha256
from binascii import a2b_base64, b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXPONENT = 65537
_PRIME_BYTES = 128
_WINDOW = 2048
_SIEVED = 30_000
"""Candidates with a factor below this are left out before the costly test; measured between 2 000 and 100 000."""
_ROUNDS = 5
"""Miller-Rabin rounds: what FIPS 186-4 (table C.3) asks for when both primes have 1024 bits."""
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 sum in a PKCS #1 v1.5 signature (RFC 8017, 9.2)."""


class Key:
    """A private key; the names are those of the key file."""

    __slots__ = ("_dp", "_dq", "_p", "_q", "_qinv", "d", "modulus")

    def __init__(self, p: int, q: int) -> None:
        self.modulus = p * q
        self.d = pow(EXPONENT, -1, (p - 1) * (q - 1))
        self._p, self._q = p, q
        self._dp, self._dq, self._qinv = self.d % (p - 1), self.d % (q - 1), pow(q, -1, p)

    def public(self) -> dict[str, str]:
        """The half that goes to the service."""
        return {"exponent": _text(EXPONENT, 3), "modulus": _text(self.modulus, 256)}

    def document(self) -> dict[str, Any]:
        """What stands in `.credentials_rsaparams`."""
        half = _PRIME_BYTES
        return {
            "useCng": False,
            "containerName": None,
            "d": _text(self.d, 2 * half),
            "dp": _text(self._dp, half),
            "dq": _text(self._dq, half),
            "exponent": _text(EXPONENT, 3),
            "inverseQ": _text(self._qinv, half),
            "modulus": _text(self.modulus, 2 * half),
            "p": _text(self._p, half),
            "q": _text(self._q, half),
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> Key:
        """The key of a file. Raises KeyError or ValueError when it is none."""
        key = cls.__new__(cls)  # its numbers are known: to compute them again takes longer than a signature
        names = ("modulus", "d", "p", "q", "dp", "dq", "inverseQ")
        key.modulus, key.d, key._p, key._q, key._dp, key._dq, key._qinv = (
            int.from_bytes(a2b_base64(document[name]), "big") for name in names
        )
        if key.modulus != key._p * key._q:
            raise ValueError("the modulus is not the product of the primes")
        return key

    def sign(self, data: bytes) -> bytes:
        """RS256: PKCS #1 v1.5 with SHA-256."""
        info = _SHA256_INFO + openssl_sha256(data).digest()
        size = (self.modulus.bit_length() + 7) // 8
        number = int.from_bytes(b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info, "big")
        one, two = pow(number, self._dp, self._p), pow(number, self._dq, self._q)
        return (two + (one - two) * self._qinv % self._p * self._q).to_bytes(size, "big")


class Search:
    """A key in the making. Whoever starts it calls `key` or `stop`."""

    def __init__(self) -> None:
        self._children = [_child() for _ in range(2)]

    def key(self) -> Key:
        """Wait for both primes; in the nearly impossible case that they do not fit together, search again."""
        primes = []
        for pid, pipe in self._children:
            found = b""
            while part := os.read(pipe, 4096):
                found += part
            os.close(pipe)
            os.waitpid(pid, 0)
            primes.append(int.from_bytes(found, "big") if len(found) == _PRIME_BYTES else prime())
        self._children = []
        while abs(primes[0] - primes[1]).bit_length() < 924:
            primes[1] = prime()
        return Key(*primes)

    def stop(self) -> None:
        """End the children, if they are still there."""
        for pid, pipe in self._children:
            os.close(pipe)
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)
        self._children = []


def prime() -> int:
    """A prime of 1024 bits whose two highest bits are set, fit for the exponent."""
    small = _small_primes(_SIEVED)
    while True:
        start = int.from_bytes(os.urandom(_PRIME_BYTES), "big") | 3 << 1022 | 1
        sieve = bytearray(_WINDOW)
        for divisor in small:
            first = -start * ((divisor + 1) // 2) % divisor  # start + 2 * first is a multiple of divisor
            sieve[first::divisor] = b"\1" * len(range(first, _WINDOW, divisor))
        for step in range(_WINDOW):
            candidate = start + 2 * step
            if not sieve[step] and candidate % EXPONENT != 1 and candidate.bit_length() == 1024 and _is_prime(candidate):
                return candidate


def _is_prime(number: int) -> bool:
    rest = number - 1
    twos = (rest & -rest).bit_length() - 1
    rest >>= twos
    for turn in range(_ROUNDS):
        base = 2 if turn == 0 else 2 + int.from_bytes(os.urandom(_PRIME_BYTES), "big") % (number - 3)
        power = pow(base, rest, number)
        if power in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _small_primes(limit: int) -> list[int]:
    composite = bytearray(limit)
    found = []
    for number in range(3, limit, 2):
        if not composite[number]:
            found.append(number)
            composite[number * number :: number] = b"\1" * len(range(number * number, limit, number))
    return found


def _child() -> tuple[int, int]:
    """A process that searches one prime: its id and the pipe on which it comes."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.closerange(0, 3)  # whoever reads what config.sh says need not wait for us when it is killed
            os.close(reading)
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
            os.write(writing, prime().to_bytes(_PRIME_BYTES, "big"))
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _text(number: int, size: int) -> str:
    return b2a_base64(number.to_bytes(size, "big"), newline=False).decode()
