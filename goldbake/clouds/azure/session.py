"""One Azure subscription through azure-identity's own credential chain: one client per provider, shared by all threads."""

from __future__ import annotations

import base64
import importlib
import inspect
import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineResponse, policies
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import CertificateCredential, ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy, ARMHttpLoggingPolicy

from goldbake import proc
from goldbake.clouds.azure.errors import failure
from goldbake.errors import MissingError
from goldbake.secret import Secret

T = TypeVar("T")

SCOPE = "https://management.azure.com/.default"
POLL_S = 5.0
"""Between two looks at a long-running operation, where Azure does not say how long to wait; it says so nearly always."""
PATIENCE_S = 120.0
"""The longest wait that Azure may ask for with Retry-After. When it asks for more, the call ends with its refusal."""
NO_CREDENTIALS = "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or the same with ARM_) to those of a service principal"
NO_SUBSCRIPTION = (
    "set AZURE_SUBSCRIPTION_ID, or azure.subscription in images.yaml; `az account list --output table` shows those that you may use"
)

_MODELS = threading.Lock()
_PREPARED: set[str] = set()
"""Packages whose models have been prepared."""
_CONNECT_S = 10
_ANSWER_S = 60
_TRIES = 8
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_TOO_MANY = 429
_IDENTITIES = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")
"""What services of Azure set in the environment where a program has a managed identity."""
_CHASSIS = Path("/sys/class/dmi/id/chassis_asset_tag")
_AZURE_CHASSIS = "7783-7084-3265-9085-8269-3286-77"
"""The asset tag of every virtual machine of Azure; cloud-init knows Azure by it too."""

for _name in ("azure", "msal", "urllib3"):  # what they warn of arrives here as an error, or is none
    logging.getLogger(_name).addHandler(logging.NullHandler())


def setting(name: str) -> str:
    """The value of AZURE_<name>, or of ARM_<name> as Terraform and Packer call it; empty when neither is set."""
    return os.environ.get(f"AZURE_{name}") or os.environ.get(f"ARM_{name}") or ""


def subscription_of(described: str = "") -> str:
    """The subscription: that of the environment, else `described` (of images.yaml), else the Azure CLI's default; empty when none says one."""
    return setting("SUBSCRIPTION_ID") or described or _cli_subscription()


def has_cli_login() -> bool:
    """Whether somebody has signed in with the Azure CLI on this machine."""
    return bool(_cli_subscription())


def waits_for(error: AzureError) -> float:
    """The seconds for which Azure asks not to be asked again, with its refusal; 0 where it does not say."""
    response = getattr(error, "response", None)
    said = str(response.headers.get("Retry-After") or "") if response is not None else ""
    return float(said) if said.isdecimal() else 0.0


def is_configured() -> bool:
    """Whether there are credentials of Azure here and a subscription, as far as can be told without asking anybody."""
    if not subscription_of():
        return False
    principal = setting("CLIENT_SECRET") or setting("CLIENT_CERTIFICATE_PATH") or _token_file()
    if principal or any(os.environ.get(name) for name in _IDENTITIES):
        return True
    return has_cli_login() or _in_azure()


class Azure:
    """A subscription, with the credentials of the environment (`AZURE_*`, `ARM_*`), a managed identity, or the Azure CLI's.

    `subscription` stands in for AZURE_SUBSCRIPTION_ID where that is not set. Raises MissingError without credentials or subscription; that they
    are refused shows at the first call.
    """

    def __init__(self, subscription: str = "") -> None:
        self.credential = _credential()
        self.subscription = subscription_of(subscription)
        if not self.subscription:
            raise MissingError("no Azure subscription is named", hint=NO_SUBSCRIPTION)
        self._clients: dict[tuple[type, str], Any] = {}
        self._mutex = threading.Lock()

    def client(self, kind: type[T], subscription: str = "") -> T:
        """The SDK's client of this class, as ComputeManagementClient; of another subscription where one is given, as that of an image."""
        key = (kind, subscription or self.subscription)
        with self._mutex:
            if key not in self._clients:
                self._clients[key] = self._made(*key)
            return cast("T", self._clients[key])

    def close(self) -> None:
        """End all connections; they end with the process too, and a client that is asked for later opens new ones."""
        with self._mutex:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        close = getattr(self.credential, "close", None)
        if close is not None:
            close()

    def claims(self) -> Mapping[str, Any]:
        """What the token says of its bearer, as `oid`, `appid`, `upn`; empty when it cannot be read. Raises Failure."""
        try:
            token = self.credential.get_token(SCOPE).token
        except AzureError as error:
            raise failure(error, doing="get a token", place="Azure") from error
        return _claims(token)

    def _made(self, kind: type[T], subscription: str) -> T:
        given: dict[str, Any] = {"policies": self._policies(), "polling_interval": POLL_S}
        given |= {"connection_timeout": _CONNECT_S, "read_timeout": _ANSWER_S}
        if "subscription_id" in inspect.signature(kind.__init__).parameters:
            given["subscription_id"] = subscription
        _prepare_models(kind)
        make: Any = kind
        return cast("T", make(credential=self.credential, **given))

    def _policies(self) -> list[Any]:
        """The SDK's own pipeline but for two: it would register a missing resource provider by itself, and wait for as long as it is told."""
        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy(base_user_agent="goldbake"),
            policies.ProxyPolicy(),
            policies.ContentDecodePolicy(),
            policies.RedirectPolicy(),
            _Patient(retry_total=_TRIES, retry_status=_TRIES),
            ARMChallengeAuthenticationPolicy(self.credential, SCOPE),
            policies.CustomHookPolicy(),
            policies.NetworkTraceLoggingPolicy(),
            policies.SensitiveHeaderCleanupPolicy(),
            ARMHttpLoggingPolicy(),
        ]


class _Patient(policies.RetryPolicy[HttpRequest, HttpResponse]):
    """Asks again after faults of the service and after “too many requests”, when Azure says, but never waits longer than PATIENCE_S.

    The SDK's own asks again whatever was refused as soon as the answer has a Retry-After, and a POST that came too often not at all.
    """

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        status = response.http_response.status_code
        if status not in _PASSING or not settings["total"]:
            return False
        if (self.get_retry_after(response) or 0) > PATIENCE_S:
            return False
        again = status == _TOO_MANY or bool(super().is_retry(settings, response))
        if again:
            response.http_response.close()  # nobody reads it, and its connection would stay open until it is forgotten
        return again


def _prepare_models(client: type) -> None:
    """Let every model of a client's package find its own fields, once, in one thread.

    A model of the SDK does that when it is made first, and writes into its class while another thread may read the same: "dictionary changed size
    during iteration" (azure-mgmt-compute 39, _utils/model_base.py). 500 models take a tenth of a second.
    """
    package = client.__module__.rpartition(".")[0]
    with _MODELS:
        if package in _PREPARED:
            return
        models: list[Any] = [
            found for found in vars(importlib.import_module(f"{package}.models")).values() if hasattr(found, "_calculated")
        ]
        for model in models:
            model.__new__(model)
        _PREPARED.add(package)


def _credential() -> TokenCredential:
    tenant, client, secret = setting("TENANT_ID"), setting("CLIENT_ID"), setting("CLIENT_SECRET")
    certificate, token_file = setting("CLIENT_CERTIFICATE_PATH"), _token_file()
    if (secret or certificate) and not (tenant and client):
        lacking = " and ".join(f"AZURE_{name}" for name, value in (("TENANT_ID", tenant), ("CLIENT_ID", client)) if not value)
        raise MissingError(f"half of the Azure credentials is missing: {lacking}", hint=NO_CREDENTIALS)
    try:
        if secret:
            return ClientSecretCredential(tenant, client, Secret(secret).reveal())  # from here on every log line is searched for it
        if certificate:
            return CertificateCredential(tenant, client, certificate, password=setting("CLIENT_CERTIFICATE_PASSWORD") or None)
        if token_file and tenant and client:
            return WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=token_file)
        return DefaultAzureCredential(managed_identity_client_id=client or None)
    except (ValueError, OSError) as error:
        raise MissingError(f"the Azure credentials cannot be used: {error}", hint=NO_CREDENTIALS) from error


def _token_file() -> str:
    return os.environ.get("AZURE_FEDERATED_TOKEN_FILE") or os.environ.get("ARM_OIDC_TOKEN_FILE_PATH") or ""


def _cli_subscription() -> str:
    """The default subscription of the Azure CLI; empty when it is not installed, or nobody has signed in with it."""
    file = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "azureProfile.json"
    if proc.find("az") is None:
        return ""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig")).get("subscriptions", [])
        return next((str(one["id"]) for one in found if one.get("isDefault")), "")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""


def _in_azure() -> bool:
    try:
        return _CHASSIS.read_text(encoding="ascii").strip() == _AZURE_CHASSIS
    except (OSError, UnicodeDecodeError):
        return False


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) < 2:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
