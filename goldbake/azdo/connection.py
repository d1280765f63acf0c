"""Trust, proxies, and why no answer came."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from goldbake.azdo.answers import Asked, Tell
from goldbake.azdo.errors import AzureDevOpsError, Kind, azdo_error

_NO_ROUTE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
)
_NO_NAME_SERVER = frozenset({socket.EAI_AGAIN, socket.EAI_SYSTEM})
_BY_CAUSE: tuple[tuple[type[BaseException], Kind], ...] = (
    (ssl.SSLCertVerificationError, Kind.TLS_UNTRUSTED),
    (ssl.SSLEOFError, Kind.CUT),
    (ssl.SSLZeroReturnError, Kind.CUT),
    (ssl.SSLError, Kind.TLS_FAILED),
    (UnicodeError, Kind.DNS_UNKNOWN),  # a name that IDNA refuses
    (ConnectionRefusedError, Kind.NOT_LISTENING),
)
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def trust(ca: Path | None, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Whose certificates are believed: SSL_CERT_FILE or SSL_CERT_DIR or REQUESTS_CA_BUNDLE, else this machine's and `default`'s; and `ca`.

    Raises AzureDevOpsError for a file that holds none.
    """
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if os.environ.get("SSL_CERT_FILE"):
        context = _loaded("SSL_CERT_FILE", os.environ["SSL_CERT_FILE"], default)
    elif os.environ.get("SSL_CERT_DIR"):
        context = _loaded("SSL_CERT_DIR", os.environ["SSL_CERT_DIR"], default)
    elif bundle and Path(bundle).is_dir():
        context = _loaded("REQUESTS_CA_BUNDLE", bundle, lambda: ssl.create_default_context(capath=bundle))
    elif bundle:
        context = _loaded("REQUESTS_CA_BUNDLE", bundle, lambda: ssl.create_default_context(cafile=bundle))
    else:
        context = default()
        context.load_default_certs()  # of this machine: a company's own authority is installed there
    if ca is not None:
        _loaded("the CA file", str(ca), lambda: context.load_verify_locations(cafile=ca))
    return context


def unusable_proxy(error: Exception) -> AzureDevOpsError:
    """The error of a proxy's URL that cannot be used; the URL may have a password, so it is not repeated."""
    source = " or ".join(name for name in _PROXIES if os.environ.get(name)) or "the environment"
    problem = "SOCKS is not supported" if isinstance(error, ImportError) else "its URL is none of a proxy"
    return azdo_error(Kind.PROXY_INVALID, source=source, problem=problem)


def failure(asked: Asked, error: Exception, tell: Tell) -> AzureDevOpsError:
    """Why there is no answer, from the first cause that says something."""
    host, causes = counterpart(asked), _causes(error)
    for cause in causes:
        kind = _kind(cause)
        if kind is not None:
            return asked.error(kind, host=host, problem=tell(_why(cause)))
    return asked.error(Kind.CUT, host=host, problem=tell(_why(causes[-1])))


def _kind(cause: BaseException) -> Kind | None:
    if isinstance(cause, socket.gaierror):
        return Kind.DNS_FAILING if cause.errno in _NO_NAME_SERVER else Kind.DNS_UNKNOWN
    if isinstance(cause, OSError) and cause.errno in _NO_ROUTE and not isinstance(cause, ssl.SSLError):
        return Kind.NO_ROUTE
    return next((kind for types, kind in _BY_CAUSE if isinstance(cause, types)), None)


def counterpart(asked: Asked) -> str:
    """Whom this machine connects to: the host itself, or the proxy on the way to it, without the proxy's password."""
    host = urlsplit(asked.organization).hostname or ""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get("https") or proxies.get("all") or ""
    if not proxy or urllib.request.proxy_bypass(host):
        return asked.host
    return f"{proxy.rpartition('://')[2].rpartition('@')[2].rstrip('/')}, the proxy on the way to {asked.host},"


def _causes(error: BaseException) -> list[BaseException]:
    """The error and those behind it."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _loaded(source: str, name: str, load: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext:
    try:
        context = load()
    except OSError as error:  # ssl.SSLError is one as well
        raise azdo_error(Kind.CERTIFICATES, source=f"{source} ({name})", problem=_why(error)) from error
    return context if context is not None else ssl.create_default_context()
