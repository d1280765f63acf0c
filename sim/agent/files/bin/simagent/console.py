"""What the agent says: lines on stdout, failures on stderr, and everything again in `_diag`; secrets are blanked in all three."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class Console:
    """Prints and logs. The log's folder is made when it can be; without it nothing is logged."""

    def __init__(self, folder: str) -> None:
        self._secrets: list[str] = []
        self._log: TextIO | None = None
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        try:
            os.makedirs(f"{folder}/_diag", exist_ok=True)
            self._log = open(f"{folder}/_diag/Agent_{stamp}-utc.log", "a", encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError:
            pass

    def hide(self, secrets: list[str]) -> None:
        """From now on these values are written as ***."""
        self._secrets = sorted({*self._secrets, *filter(None, secrets)}, key=len, reverse=True)

    def line(self, text: str = "") -> None:
        self._write(sys.stdout, text)

    def section(self, title: str) -> None:
        """One of the titles by which a reader, or a program, sees how far configuration has come."""
        self.line()
        self.line(f">> {title}:")
        self.line()

    def event(self, text: str) -> None:
        """A line of the running agent, with the time."""
        self.line(f"{utc()}: {text}")

    def error(self, text: str) -> None:
        self._write(sys.stderr, text)

    def log(self, text: str) -> None:
        """A line for `_diag` only."""
        if self._log is not None:
            self._log.write(f"[{utc()} INFO] {self._masked(text)}\n")
            self._log.flush()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _write(self, stream: TextIO, text: str) -> None:
        self.log(text)
        try:
            stream.write(self._masked(text) + "\n")
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            pass

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def utc() -> str:
    """Now, as the agent writes it."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())


def ask(question: str, secret: bool) -> str:
    """The answer of whoever sits at stdin. Raises EOFError when nobody does."""
    sys.stdout.write(f"{question} > ")
    sys.stdout.flush()
    if secret and sys.stdin.isatty():
        import getpass

        return getpass.getpass("")
    answer = sys.stdin.readline()
    if not answer:
        raise EOFError("There is nobody to answer: use --unattended.")
    return answer
