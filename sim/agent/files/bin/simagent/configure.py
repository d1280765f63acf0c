"""The verb `configure`, in the order in which the real agent leaves its traces: a crash between two steps leaves the same half."""

from __future__ import annotations

import os

from . import store
from .capabilities import system
from .errors import AgentError, NetworkError, ServiceError
from .network import Network
from .oauth import Assertion, Pat
from .pace import CONNECT_RETRY_S, pause
from .rsa import Key, Search
from .scripts import write_service_script
from .service import Session
from .wire import Url, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .console import Console
    from .inputs import Inputs
    from .store import Store

_SCHEMES = ("pat", "alt", "negotiate", "integrated", "oauth", "sp", "aad", "serviceidentity")
_CONNECTS = 5
_TIMED_OUT_PUTS = 3
_FAILED_PUT_S = 1.0
"""Between two tries to replace an agent; the real one does not even wait that long."""


def configure(inputs: Inputs, files: Store, console: Console, version: str) -> int:
    """Register this machine as an agent and leave its files. Raises AgentError."""
    if files.has(store.SETTINGS):
        raise AgentError(
            "Cannot configure the agent because it is already configured. "
            "To reconfigure the agent, run 'config.cmd remove' or './config.sh remove' first."
        )
    search = None if files.has(store.KEY) else Search()
    try:
        return _configure(inputs, files, console, version, search)
    finally:
        if search is not None:
            search.stop()


def _configure(inputs: Inputs, files: Store, console: Console, version: str, search: Search | None) -> int:
    console.section("End User License Agreements")
    if not files.has("license.html"):
        raise AgentError(f"{files.path('license.html')} is not there.")
    console.line("Building sources from a TFVC repository needs an accepted licence of Team Explorer Everywhere; nothing else does.")
    console.section("Connect")
    url = inputs.value("url", "server URL", valid=_is_url)
    network = Network.of_inputs(inputs, files, os.environ)
    credential = admin_credential(inputs, url)
    console.hide(inputs.secrets)
    admin = Session(url, credential, network, console, version)
    try:
        console.line("Connecting to server ...")
        connect(admin)
        network.save(inputs, files)
        key = make_key(files, search)
        console.section("Register Agent")
        pool = find_pool(admin, inputs.value("pool", "agent pool", default="default"))
        agent = _register(admin, inputs, console, pool, key, files, version)
        work = inputs.value("work", "work folder", default="_work")
        authorization = agent.get("authorization") or {}
        saved = credentials(authorization, admin, url, inputs)
        files.save(store.CREDENTIALS, saved, private=True)
        console.line("Testing agent connection.")
        tester = admin.speaking_as(credential_of(saved, key))
        connect(tester)
        _save_settings(files, inputs, agent, pool, url, work)
        write_service_script(files, url, str(pool["name"]), str(agent["name"]))
        console.event("Settings Saved.")
        _telemetry(tester, console)
    finally:
        admin.close()
    return 0


def connect(session: Session) -> dict[str, Any]:
    """Connect, up to five times whatever the reason of the failure. Raises AgentError."""
    for attempt in range(1, _CONNECTS + 1):
        try:
            return session.connect()
        except AgentError:
            if attempt == _CONNECTS:
                raise
            pause(CONNECT_RETRY_S)
    raise AssertionError("unreachable: the last attempt returns or raises")


def admin_credential(inputs: Inputs, url: str) -> Pat:
    """The credential of whoever configures. Raises InputError, or AgentError for a scheme that the simulation does not speak."""
    address = Url(url)
    default = "pat" if address.scheme == "https" and "." in address.host else "negotiate"
    scheme = inputs.value("auth", "authentication type", default=default, valid=lambda text: text.lower() in _SCHEMES).lower()
    if scheme != "pat":
        raise AgentError(f"The simulated agent cannot authenticate by {scheme}, only by pat.")
    return Pat(inputs.value("token", "personal access token"))


def make_key(files: Store, search: Search | None) -> Key:
    """The agent's key: one that lies there already is used again, whoever made it."""
    if search is None:
        try:
            return Key.of(files.load(store.KEY))
        except (KeyError, ValueError, TypeError) as error:
            raise AgentError(f"{files.path(store.KEY)} holds no key: {error}") from error
    key = search.key()
    files.save(store.KEY, key.document(), private=True)
    return key


def find_pool(session: Session, name: str) -> dict[str, Any]:
    """The pool of this name. Raises AgentError."""
    found = session.call("GET", session.url("pools", f"poolName={quote(name)}&poolType=automation")).get("value") or []
    if not found:
        raise AgentError(f"Agent pool not found: '{name}'")
    pool: dict[str, Any] = found[0]
    return pool


def find_agent(session: Session, pool: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The agent of this name in the pool, or None."""
    query = f"agentName={quote(name)}&includeCapabilities=False"
    found: list[dict[str, Any]] = session.call("GET", session.url("agents", query, poolId=pool["id"])).get("value") or []
    return found[0] if found else None


def body(name: str, key: Key, version: str, folder: str) -> dict[str, Any]:
    """What a registration says of an agent."""
    return {
        "name": name,
        "maxParallelism": 1,
        "provisioningState": "Provisioned",
        "version": version,
        "osDescription": " ".join(os.uname()[:4:2]),
        "systemCapabilities": system(os.environ, folder, name, version),
        "authorization": {"publicKey": key.public()},
    }


def _register(
    admin: Session, inputs: Inputs, console: Console, pool: dict[str, Any], key: Key, files: Store, version: str
) -> dict[str, Any]:
    name = inputs.value("agent", "agent name", default=os.uname().nodename)
    console.line("Scanning for tool capabilities.")
    document = body(name, key, version, files.folder)
    console.line("Connecting to the server.")
    while True:  # without an end when a replacement keeps failing, unattended or not
        existing = find_agent(admin, pool, name)
        if existing is None:
            agent = admin.call("POST", admin.url("agents", poolId=pool["id"]), document)
            console.line("Successfully added the agent")
            return {**document, **agent}
        if not inputs.flag("replace"):
            raise AgentError(f"Pool {pool['id']} already contains an agent with name {name}.")
        replaced = _replace(admin, console, pool, existing, document)
        if replaced is not None:
            console.line("Successfully replaced the agent")
            return {**document, **replaced}
        pause(_FAILED_PUT_S)


def _replace(
    admin: Session, console: Console, pool: dict[str, Any], existing: dict[str, Any], document: dict[str, Any]
) -> dict[str, Any] | None:
    for attempt in range(1, _TIMED_OUT_PUTS + 1):
        try:
            changed = {**document, "id": existing["id"]}
            return admin.call("PUT", admin.url("agents", poolId=pool["id"], agentId=existing["id"]), changed)
        except NetworkError as error:
            if error.timed_out and attempt == _TIMED_OUT_PUTS:
                raise
            if not error.timed_out:
                console.error(f"{error}\nFailed to replace the agent. Try again or ctrl-c to quit")
                return None
        except ServiceError as error:
            console.error(f"{error}\nFailed to replace the agent. Try again or ctrl-c to quit")
            return None
    return None


def credentials(authorization: dict[str, Any], session: Session, url: str, inputs: Inputs) -> dict[str, Any]:
    """What goes into `.credentials`: the OAuth client; the PAT itself when the service named none."""
    client, audience = authorization.get("clientId"), authorization.get("authorizationUrl")
    if not client or not audience:
        return {"scheme": "PAT", "data": {"token": inputs.value("token", "personal access token")}}
    endpoint = str(audience)
    if session.deployment != "hosted":
        endpoint = Url(url).origin + Url(endpoint).path
    return {"scheme": "OAuth", "data": {"clientId": str(client), "authorizationUrl": str(audience), "oauthEndpointUrl": endpoint}}


def credential_of(saved: dict[str, Any], key: Key) -> Pat | Assertion:
    """The credential of a configured agent. Raises AgentError."""
    data = saved.get("data") or {}
    try:
        if saved.get("scheme") == "PAT":
            return Pat(data["token"])
        return Assertion(data["clientId"], data["authorizationUrl"], data["oauthEndpointUrl"], key)
    except KeyError as error:
        raise AgentError(f"{store.CREDENTIALS} lacks {error}.") from error


def _save_settings(files: Store, inputs: Inputs, agent: dict[str, Any], pool: dict[str, Any], url: str, work: str) -> None:
    server = url.strip().rstrip("/")
    named = ((agent.get("properties") or {}).get("ServerUrl") or {}).get("$value")
    if named:
        server = Url(server).origin + Url(str(named)).path.rstrip("/")
    files.save(
        store.SETTINGS,
        {
            "agentId": agent["id"],
            "agentName": agent["name"],
            "poolId": pool["id"],
            "poolName": pool["name"],
            "serverUrl": server,
            "workFolder": work,
            "disableLogUploads": True if inputs.flag("disableloguploads") else None,
            "alwaysExtractTask": True if inputs.flag("alwaysextracttask") else None,
        },
    )


def _telemetry(session: Session, console: Console) -> None:
    """Best effort: nobody waits for it and no failure counts."""
    if session.offers("telemetry"):
        try:
            event = {"area": "PipelinesAgent", "feature": "Configuration", "properties": {"OS": "Linux"}}
            session.call("POST", session.url("telemetry"), [event])
        except AgentError as error:
            console.log(f"telemetry: {error}")


def _is_url(text: str) -> bool:
    try:
        Url(text)
    except ValueError:
        return False
    return True
