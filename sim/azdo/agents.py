"""Agents: registered in a pool, each with a public key of its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from sim.azdo.clock import stamp
from sim.azdo.errors import ServiceError

KEY_BITS = 2048
"""Smallest key that is accepted; the agent makes one of exactly this size."""

CAPABILITY_LENGTH = 1024
"""A value of a capability is shorter than this: the agent itself sends no longer ones."""


@dataclass(frozen=True)
class Key:
    """A public key as it is written in a registration."""

    exponent: str
    modulus: str

    @classmethod
    def parse(cls, value: object) -> Key | None:
        """The key of an `authorization` object; None when it has none. Raises ServiceError for one that cannot be used."""
        public = value.get("publicKey") if isinstance(value, dict) else None
        if public is None:
            return None
        if not isinstance(public, dict) or not all(isinstance(public.get(part), str) for part in ("exponent", "modulus")):
            raise ServiceError("VssPropertyValidationException", "The public key needs an exponent and a modulus.")
        key = cls(public["exponent"], public["modulus"])
        try:
            size = key.rsa().key_size
        except (ValueError, binascii.Error) as error:
            raise ServiceError("VssPropertyValidationException", "The public key is no RSA key.") from error
        if size < KEY_BITS:
            raise ServiceError("VssPropertyValidationException", f"The public key has {size} bits, at least {KEY_BITS} are needed.")
        return key

    def rsa(self) -> RSAPublicKey:
        """The key for computing. Raises ValueError."""
        numbers = [int.from_bytes(base64.b64decode(part, validate=True), "big") for part in (self.exponent, self.modulus)]
        return RSAPublicNumbers(*numbers).public_key()

    def document(self) -> dict[str, str]:
        """The key as a TaskAgentPublicKey."""
        return {"exponent": self.exponent, "modulus": self.modulus}

    def fingerprint(self) -> str:
        """Sixteen digits that tell keys apart."""
        return hashlib.sha256(f"{self.exponent}.{self.modulus}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Registration:
    """The body of a registration (POST, PUT), checked as a whole before anything is changed by it."""

    name: str
    version: str
    os_description: str
    max_parallelism: int
    capabilities: dict[str, str]
    key: Key | None

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Registration:
        """Raises ServiceError."""
        parallelism = body.get("maxParallelism", 1)
        if not isinstance(parallelism, int) or isinstance(parallelism, bool):
            raise ServiceError("VssPropertyValidationException", "maxParallelism must be a number.")
        return cls(
            text(body, "name", ""),
            text(body, "version", ""),
            text(body, "osDescription", ""),
            parallelism,
            checked_capabilities(body.get("systemCapabilities")),
            Key.parse(body.get("authorization")),
        )


@dataclass
class Agent:
    """A registered agent; `key` is None when it was registered, or answered, without an authorization."""

    id: int
    pool_id: int
    name: str
    created: float
    version: str = ""
    os_description: str = ""
    enabled: bool = True
    max_parallelism: int = 1
    provisioning_state: str = "Provisioned"
    online: bool = False
    key: Key | None = None
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    system_capabilities: dict[str, str] = field(default_factory=dict)
    user_capabilities: dict[str, str] = field(default_factory=dict)
    update_state: str | None = None
    target_version: str | None = None
    changes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """`online` or `offline`."""
        return "online" if self.online else "offline"

    @property
    def capabilities(self) -> dict[str, str]:
        """What demands are held against: the system's and the user's, the user's win."""
        return {**self.system_capabilities, **self.user_capabilities}

    def turn(self, online: bool, at: float) -> None:
        """Note that the agent is online from `at` on, or not any more."""
        if online != self.online:
            self.online = online
            self.changes.append((at, self.status))

    def reference(self) -> dict[str, Any]:
        """This agent as a TaskAgentReference."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "osDescription": self.os_description,
            "enabled": self.enabled,
            "status": self.status,
            "provisioningState": self.provisioning_state,
        }

    def document(self, capabilities: bool = False) -> dict[str, Any]:
        """This agent as a TaskAgent, without its authorization."""
        document = {
            **self.reference(),
            "maxParallelism": self.max_parallelism,
            "createdOn": stamp(self.created),
            "statusChangedOn": stamp(self.changes[-1][0] if self.changes else self.created),
        }
        if capabilities:
            document["systemCapabilities"] = dict(self.system_capabilities)
            document["userCapabilities"] = dict(self.user_capabilities)
        if self.target_version is not None:
            document["pendingUpdate"] = {
                "currentState": self.update_state or "",
                "reason": {"code": "manual"},
                "sourceVersion": version_document(self.version),
                "targetVersion": version_document(self.target_version),
            }
        return document

    def register(self, registration: Registration) -> None:
        """Take what a registration says of the agent: all of it, its key too."""
        self.version = registration.version
        self.os_description = registration.os_description
        self.max_parallelism = registration.max_parallelism
        self.system_capabilities = dict(registration.capabilities)
        self.key = registration.key


class Agents:
    """All agents of an organization; a name is used once in a pool, without regard to case."""

    def __init__(self) -> None:
        self.by_id: dict[int, Agent] = {}
        self._last = 0

    def add(self, pool_id: int, name: str, created: float) -> Agent:
        """A new agent. Raises ServiceError when the name is taken or cannot be."""
        self.check_name(pool_id, name)
        self._last += 1
        agent = Agent(self._last, pool_id, name, created)
        self.by_id[agent.id] = agent
        return agent

    def get(self, pool_id: int, agent_id: int) -> Agent:
        """The agent of this number in this pool. Raises ServiceError."""
        agent = self.by_id.get(agent_id)
        if agent is None or agent.pool_id != pool_id:
            raise ServiceError("TaskAgentNotFoundException", f"No agent found with identifier {agent_id} in pool {pool_id}.")
        return agent

    def of_pool(self, pool_id: int) -> list[Agent]:
        """The agents of a pool, oldest first."""
        return [agent for agent in self.by_id.values() if agent.pool_id == pool_id]

    def by_client(self, client_id: str) -> Agent | None:
        """The agent that speaks under this client id, or None."""
        return next((agent for agent in self.by_id.values() if agent.client_id == client_id), None)

    def check_name(self, pool_id: int, name: str, besides: Agent | None = None) -> None:
        """Raises ServiceError when `name` is taken in the pool or cannot be a name."""
        if not name.strip() or len(name) > 256 or any(ord(letter) < 32 for letter in name):
            raise ServiceError("VssPropertyValidationException", f"The name {name!r} cannot be the name of an agent.")
        for agent in self.of_pool(pool_id):
            if agent is not besides and agent.name.casefold() == name.casefold():
                raise ServiceError("TaskAgentExistsException", f"Pool {pool_id} already contains an agent with name {name}.")


def text(body: dict[str, Any], name: str, default: str) -> str:
    """The string `name` of a body; `default` when it is absent. Raises ServiceError for anything else."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ServiceError("VssPropertyValidationException", f"{name} must be a string.")
    return value


def checked_capabilities(value: object) -> dict[str, str]:
    """Capabilities of a body. Raises ServiceError when a value is no string or too long."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise ServiceError("VssPropertyValidationException", "Capabilities must be strings by name.")
    if long := [name for name, part in value.items() if len(part) >= CAPABILITY_LENGTH]:
        raise ServiceError("VssPropertyValidationException", f"The capability {long[0]} is longer than {CAPABILITY_LENGTH - 1} characters.")
    return dict(value)


def version_document(version: str) -> dict[str, int]:
    """`4.255.0` as a PackageVersion; what is no number counts as 0."""
    parts = [int(part) if part.isdecimal() else 0 for part in [*version.split("."), "0", "0", "0"][:3]]
    return {"major": parts[0], "minor": parts[1], "patch": parts[2]}
