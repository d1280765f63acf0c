"""The metadata services of AWS, Google Cloud and Azure. Each is asked in the one way that a request forged by a job's browser or proxy cannot use."""

from __future__ import annotations

import re

from . import TYPE_CHECKING
from .errors import Problem
from .sources import Found
from .web import Answer, Broken, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .settings import Settings

_MINE = 1 << 20


def aws(settings: Settings) -> Found | None:
    """IMDSv2 only: a token by PUT first; version 1 is never asked (it would answer any forged GET)."""

    def ask(server: Connection) -> Found | None:
        token = _ok(server.ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"})).body.decode("latin-1")
        headers = {"X-aws-ec2-metadata-token": token}
        answer = server.ask("GET", "/latest/user-data", headers)
        if answer.status == 404:
            return None
        instance = _ok(server.ask("GET", "/latest/meta-data/instance-id", headers)).body
        return Found("aws", _ok(answer).body, instance.decode("latin-1").strip())

    return _patiently(settings, settings.aws, ask)


def gcp(settings: Settings) -> Found | None:
    """Only an answer with `Metadata-Flavor: Google` is one of Google's."""

    def ask(server: Connection) -> Found | None:
        def get(path: str) -> Answer:
            answer = server.ask("GET", f"/computeMetadata/v1/instance/{path}", {"Metadata-Flavor": "Google"})
            if answer.headers.get("metadata-flavor") != "Google":
                raise Broken("the answer is not from Google's metadata service")
            return answer

        answer = get("attributes/user-data")
        if answer.status == 404:
            return None
        return Found("gcp", _ok(answer).body, _ok(get("name")).body.decode("latin-1").strip())

    return _patiently(settings, settings.gcp, ask)


def azure(settings: Settings) -> Found | None:
    """userData of the metadata service, else the custom data that cloud-init or the guest agent left on the disk."""

    def ask(server: Connection) -> Found | None:
        import json

        answer = _ok(server.ask("GET", "/metadata/instance/compute?api-version=2021-01-01&format=json", {"Metadata": "true"}))
        try:
            compute = json.loads(answer.body)
            name, encoded = compute["name"], compute.get("userData") or ""
            data = _decoded(encoded.encode("ascii"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Broken("the answer is not Azure's description of a machine") from None
        if data:
            return Found("azure-userdata", data, str(name))
        data = _custom_data(settings)
        return Found("azure-customdata", data, str(name)) if data else None

    return _patiently(settings, settings.azure, ask)


def _custom_data(settings: Settings) -> bytes:
    for path in (f"{settings.cloud_init[0]}/instance/user-data.txt", f"{settings.waagent}/CustomData", f"{settings.waagent}/ovf-env.xml"):
        try:
            with open(path, "rb") as file:
                data = file.read(_MINE)
        except OSError:
            continue
        element = re.search(rb"<(?:\w+:)?CustomData>\s*([A-Za-z0-9+/=\s]+?)\s*</", data)
        found = _decoded(element.group(1)) if element else b"" if path.endswith(".xml") else _decoded(data) or data
        if found.strip():
            return found
    return b""


def _decoded(data: bytes) -> bytes:
    """What is behind base64, empty when it is not that."""
    import binascii

    compact = b"".join(data.split())
    if not re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", compact):
        return b""
    try:
        return binascii.a2b_base64(compact)
    except ValueError:
        return b""


def _ok(answer: Answer) -> Answer:
    if answer.status != 200:
        raise Broken(f"it answers {answer.status}")
    return answer


def _patiently(settings: Settings, addresses: Sequence[str], ask: Callable[[Connection], Found | None]) -> Found | None:
    """Ask until there is an answer; the service may be later than this program. Raises Problem (metadata)."""
    from .retry import pause

    deadline = settings.monotonic() + settings.metadata_budget_s
    attempt = 0
    while True:
        attempt += 1
        for address in addresses:
            server = Connection(address, timeout=5.0)
            try:
                return ask(server)
            except Broken as error:
                reason = str(error)
            except OSError as error:
                reason = error.strerror or str(error) or type(error).__name__
            finally:
                server.close()
        wait = pause(settings, attempt, 0)
        if settings.monotonic() + wait > deadline:
            raise Problem("metadata", f"the metadata service does not answer: {reason}")
        settings.sleep(wait)
