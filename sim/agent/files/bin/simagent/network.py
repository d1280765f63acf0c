"""How the service is reached: proxy and certificates, from the inputs at configuration and from their files later."""

from __future__ import annotations

import os
from binascii import b2a_base64

from . import store, stream, wire
from .errors import AgentError, InputError
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ssl
    from collections.abc import Mapping

    from .inputs import Inputs


class Network:
    """Proxy, exceptions from it and certificate file of one agent."""

    def __init__(self, url: str = "", user: str = "", password: str = "", ca_file: str = "", bypass: tuple[str, ...] = ()) -> None:
        self.url, self.user, self.password, self.ca_file, self._bypass = url, user, password, ca_file, bypass
        self._context: _ssl._SSLContext | None = None

    @classmethod
    def of_inputs(cls, inputs: Inputs, files: Store, environ: Mapping[str, str]) -> Network:
        """What config.sh was given, else what the environment says. Raises InputError."""
        known = cls.of_files(files, environ)
        ca_file = inputs.given("sslcacert")
        if ca_file and not os.path.isfile(ca_file):
            raise InputError(f"Invalid configuration provided for sslcacert: {ca_file} is not there.")
        if inputs.given("proxyurl"):
            user, password = inputs.given("proxyusername"), inputs.given("proxypassword")
            return cls(inputs.given("proxyurl"), user, password, ca_file or known.ca_file, known._bypass)
        return cls(known.url, known.user, known.password, ca_file or known.ca_file, known._bypass)

    @classmethod
    def of_files(cls, files: Store, environ: Mapping[str, str]) -> Network:
        """What an earlier configuration left, else what the environment says."""
        ca_file = str(files.load(store.CERTIFICATES).get("CACert", ""))
        if files.has(store.PROXY):
            account = files.load(store.PROXY_CREDENTIALS)
            bypass = tuple(files.text(store.PROXY_BYPASS).split()) if files.has(store.PROXY_BYPASS) else ()
            url, user, password = files.text(store.PROXY).strip(), account.get("username", ""), account.get("password", "")
            return cls(url, user, password, ca_file, bypass)
        if url := environ.get("VSTS_HTTP_PROXY") or environ.get("http_proxy", ""):
            user, password = environ.get("VSTS_HTTP_PROXY_USERNAME", ""), environ.get("VSTS_HTTP_PROXY_PASSWORD", "")
            except_for = environ.get("no_proxy", "").split(",")
            return cls(url, user, password, ca_file, tuple(_pattern(host.strip()) for host in except_for if host.strip()))
        return cls(ca_file=ca_file)

    def save(self, inputs: Inputs, files: Store) -> None:
        """Leave what was given where the run verb finds it."""
        if inputs.given("proxyurl"):
            files.write(store.PROXY, self.url)
            if self.user:
                files.save(store.PROXY_CREDENTIALS, {"username": self.user, "password": self.password}, private=True)
        if inputs.given("sslcacert"):
            files.save(store.CERTIFICATES, {"CACert": os.path.abspath(self.ca_file)})

    def context(self) -> _ssl._SSLContext:
        """What certificates are held against; there is no way to switch that off. Raises NetworkError."""
        if self._context is None:
            self._context = stream.trust(self.ca_file)
        return self._context

    def proxy(self, address: wire.Url) -> wire.Proxy | None:
        """The proxy for `address`, None when it is reached directly. Raises AgentError."""
        if not self.url or self._passes_by(address):
            return None
        try:
            url = wire.Url(self.url)
        except ValueError as error:
            raise AgentError(f"Invalid configuration provided for proxyurl: {error}") from error
        account = f"{self.user}:{self.password}".encode()
        return wire.Proxy(url, "Basic " + b2a_base64(account, newline=False).decode() if self.user else "")

    def _passes_by(self, address: wire.Url) -> bool:
        if not self._bypass:
            return False
        import re

        return any(re.search(pattern, f"{address.origin}{address.path}", re.IGNORECASE) for pattern in self._bypass)


def _pattern(host: str) -> str:
    """A name of no_proxy, which means itself and everything below it, as a line of .proxybypass: a pattern for URLs."""
    escaped = host.lstrip(".").replace(".", r"\.")
    return rf"^https?://([^/]*\.)?{escaped}(:\d+)?(/|$)"
