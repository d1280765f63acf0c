"""The files that a configured agent leaves in its folder."""

from __future__ import annotations

import os

from . import jsontext
from .errors import AgentError, NotConfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTINGS = ".agent"
CREDENTIALS = ".credentials"
KEY = ".credentials_rsaparams"
SERVICE = ".service"
PROXY = ".proxy"
PROXY_CREDENTIALS = ".proxycredentials"
PROXY_BYPASS = ".proxybypass"
CERTIFICATES = ".certificates"
OPTIONS = ".options"


class Store:
    """The agent's folder. A file with a secret is written first and closed to others afterwards, as in the real agent: mind the umask."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def has(self, name: str) -> bool:
        return os.path.exists(self.path(name))

    def settings(self) -> dict[str, Any]:
        """The content of `.agent`. Raises NotConfigured."""
        if not self.has(SETTINGS):
            raise NotConfigured("The agent is not configured.")
        return self.load(SETTINGS)

    def load(self, name: str) -> dict[str, Any]:
        """A JSON file, empty when it is missing. Raises AgentError when it is no JSON object."""
        if not self.has(name):
            return {}
        try:
            found = jsontext.loads(self.text(name))
        except ValueError as error:
            raise AgentError(f"{self.path(name)} is damaged: {error}") from error
        if not isinstance(found, dict):
            raise AgentError(f"{self.path(name)} is damaged: it holds no object")
        return found

    def text(self, name: str) -> str:
        with open(self.path(name), encoding="utf-8-sig") as file:
            return file.read()

    def save(self, name: str, document: dict[str, Any], *, private: bool = False) -> None:
        """Write a JSON file; members that are None are left out."""
        self.write(name, jsontext.dumps({key: value for key, value in document.items() if value is not None}, "  "), private=private)

    def write(self, name: str, text: str, *, private: bool = False, mode: int = 0) -> None:
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        if private or mode:
            os.chmod(self.path(name), 0o600 if private else mode)

    def remove(self, *names: str) -> None:
        for name in names:
            if self.has(name):
                os.unlink(self.path(name))

    def environment(self) -> dict[str, str]:
        """The lines of `.env`, which every start of the listener takes into its environment."""
        if not self.has(".env"):
            return {}
        lines = (line.partition("=") for line in self.text(".env").splitlines())
        return {name.strip(): value for name, equals, value in lines if equals and name.strip()}
