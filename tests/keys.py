"""Throw-away OpenPGP keys for tests, made by the real gpg in a home of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True)
class Key:
    """A key that can sign."""

    home: Path
    fingerprint: str
    public: bytes

    def with_subkey(self) -> Key:
        """The same key with a new subkey, which signs from now on."""
        _gpg(self.home, "--passphrase", "", "--quick-add-key", self.fingerprint, "ed25519", "sign", "never")
        return Key(self.home, self.fingerprint, _gpg(self.home, "--armor", "--export", self.fingerprint))

    def sign(self, data: bytes) -> bytes:
        """A detached signature over `data`."""
        return _gpg(self.home, "--local-user", self.fingerprint, "--detach-sign", "--output", "-", "-", input=data)


@contextmanager
def keyring(*names: str) -> Iterator[list[Key]]:
    """One new key for each name; the home and its agent are gone when the block ends."""
    with TemporaryDirectory(prefix="goldbake-keys.") as folder:
        home = Path(folder)
        home.chmod(0o700)
        try:
            yield [_key(home, name) for name in names]
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)


def _key(home: Path, name: str) -> Key:
    _gpg(home, "--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
    listed = _gpg(home, "--with-colons", "--list-keys", f"{name}@example.org").decode().splitlines()
    fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
    return Key(home, fingerprint, _gpg(home, "--armor", "--export", fingerprint))


def _gpg(home: Path, *arguments: str, input: bytes = b"") -> bytes:
    argv = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", *arguments]
    return subprocess.run(argv, input=input, check=True, capture_output=True).stdout
