"""OpenPGP keys and signatures, by gpg with a throw-away home: nothing of the user's key ring is read or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from goldbake import proc
from goldbake.errors import DownloadError, MissingError


def is_available() -> bool:
    """Whether gpg is installed."""
    return proc.find("gpg") is not None


def fingerprint(key: bytes, origin: str) -> str:
    """The fingerprint of the one primary key in `key` (armored or not), 40 hexadecimal digits.

    Raises DownloadError when there is none or more than one, naming `origin`; MissingError without gpg.
    """
    with _home() as home:
        file = home / "key"
        file.write_bytes(key)
        shown = proc.run(_gpg(home, "--show-keys", "--with-colons", file), check=False).stdout.splitlines()
    primary = [shown[at + 1].split(":")[9] for at, line in enumerate(shown[:-1]) if line.startswith("pub:")]
    if len(primary) != 1:
        raise DownloadError(f"{origin} holds {len(primary)} OpenPGP keys, not one", hint="open it: a proxy's error page looks like this")
    return primary[0]


def verify(data: bytes, signature: bytes, key: bytes, wanted: str, origin: str) -> None:
    """Check that `signature` over `data` was made by the key whose primary fingerprint is `wanted`.

    Raises DownloadError naming `origin` otherwise; MissingError without gpg.
    """
    got = fingerprint(key, f"the key for {origin}")
    if got != wanted:
        raise DownloadError(
            f"the key for {origin} has fingerprint {got}, wanted {wanted}", hint="do not trust it; compare with the publisher's site"
        )
    with _home() as home:
        for name, content in (("key", key), ("data", data), ("signature", signature)):
            (home / name).write_bytes(content)
        proc.run(_gpg(home, "--import", home / "key"))
        done = proc.run(_gpg(home, "--status-fd", "1", "--verify", home / "signature", home / "data"), check=False)
    valid = [line.split() for line in done.stdout.splitlines() if line.startswith("[GNUPG:] VALIDSIG ")]
    if done.code != 0 or not any(fields[-1] == wanted for fields in valid):
        raise DownloadError(f"{origin} is not signed by {wanted}", hint="do not use it; it was changed on its way or at its source")


@contextmanager
def _home() -> Iterator[Path]:
    if not is_available():
        raise MissingError("gpg is not installed, so no key can be checked", hint="apt-get install gpg")
    with TemporaryDirectory(prefix="goldbake-gpg.") as folder:
        Path(folder).chmod(0o700)
        yield Path(folder)


def _gpg(home: Path, *arguments: str | Path) -> list[str | Path]:
    return ["gpg", "--homedir", home, "--batch", "--no-tty", "--no-autostart", "--quiet", *arguments]
