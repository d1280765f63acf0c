"""The verbs `remove` and `reauth`: both need an administrator's credential again, the agent's own key is not enough."""

from __future__ import annotations

import os

from . import store
from .configure import admin_credential, body, connect, credential_of, credentials, find_agent
from .errors import AgentError
from .network import Network
from .rsa import Search
from .service import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .console import Console
    from .inputs import Inputs
    from .store import Store


def remove(inputs: Inputs, files: Store, console: Console, version: str) -> int:
    """Take the agent out of its pool and its files out of the folder. Raises AgentError."""
    if files.has(store.SERVICE):
        raise AgentError("Unconfigure service first: run 'sudo ./svc.sh stop' and 'sudo ./svc.sh uninstall'.")
    if files.has(store.SETTINGS) and files.has(store.CREDENTIALS):
        settings = files.settings()
        console.line("Removing agent from the server")
        admin, pool = _admin(inputs, files, console, version, settings)
        try:
            agent = find_agent(admin, pool, str(settings["agentName"]))
            if agent is None:
                console.line("Does not exist. Skipping Removing agent from the server")
            else:
                admin.call("DELETE", admin.url("agents", poolId=pool["id"], agentId=agent["id"]))
                console.line("Succeeded: Removing agent from the server")
        finally:
            admin.close()
    else:
        console.line("Cannot connect to server, because config files are missing. Skipping removing agent from the server.")
    console.line("Removing .credentials")
    files.remove(store.KEY, store.CREDENTIALS)
    console.line("Removing .agent")
    files.remove(store.PROXY, store.PROXY_CREDENTIALS, store.PROXY_BYPASS, store.CERTIFICATES, store.OPTIONS, store.SETTINGS, "svc.sh")
    return 0


def reauth(inputs: Inputs, files: Store, console: Console, version: str) -> int:
    """Give the agent a new key under the same number. Raises AgentError."""
    settings = files.settings()
    search = Search()
    try:
        admin, pool = _admin(inputs, files, console, version, settings)
        try:
            agent = find_agent(admin, pool, str(settings["agentName"]))
            if agent is None:
                raise AgentError("The agent no longer exists on the server. Please reconfigure the agent.")
            key = search.key()
            document = {**body(str(settings["agentName"]), key, version, files.folder), "id": agent["id"]}
            changed = admin.call("PUT", admin.url("agents", poolId=pool["id"], agentId=agent["id"]), document)
            saved = credentials(changed.get("authorization") or {}, admin, str(settings["serverUrl"]), inputs)
            files.save(store.KEY, key.document(), private=True)
            files.save(store.CREDENTIALS, saved, private=True)
            console.line("Testing agent connection.")
            connect(admin.speaking_as(credential_of(saved, key)))
        finally:
            admin.close()
    finally:
        search.stop()
    console.event("Successfully re-authenticated the agent.")
    return 0


def _admin(inputs: Inputs, files: Store, console: Console, version: str, settings: dict[str, Any]) -> tuple[Session, dict[str, Any]]:
    url = str(settings["serverUrl"])
    credential = admin_credential(inputs, url)
    console.hide(inputs.secrets)
    admin = Session(url, credential, Network.of_inputs(inputs, files, os.environ), console, version)
    console.line("Connecting to server ...")
    try:
        connect(admin)
    except BaseException:
        admin.close()
        raise
    return admin, {"id": settings["poolId"], "name": settings.get("poolName", "")}
