"""Who Packer's plugin acts as in Azure: whoever the SDK acts as here, told in the plugin's own words and in its environment only."""

from __future__ import annotations

import os
from pathlib import Path

from goldbake.clouds.azure.session import has_cli_login, setting
from goldbake.errors import MissingError

_PASSED_ON = ("AZURE_CONFIG_DIR", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET")
"""What the Azure CLI and managed identities need of the environment, besides HOME."""
_PEM = (b"-----BEGIN", b"Bag Attributes")
"""How a certificate begins that is no PFX; `openssl pkcs12` writes the second before the first."""


def environment(subscription: str) -> dict[str, str]:
    """The variables of a build in this subscription. Raises MissingError for a token file that cannot be read."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"ARM_SUBSCRIPTION_ID": subscription}
    secret, certificate = setting("CLIENT_SECRET"), setting("CLIENT_CERTIFICATE_PATH")
    token_file = os.environ.get("AZURE_FEDERATED_TOKEN_FILE") or os.environ.get("ARM_OIDC_TOKEN_FILE_PATH")
    if not (secret or certificate or token_file):
        if has_cli_login() and not os.environ.get("IDENTITY_ENDPOINT"):
            return found | {"PKR_VAR_use_azure_cli": "true"}
        return found | {"ARM_CLIENT_ID": setting("CLIENT_ID")}  # without a tenant the plugin takes it for a managed identity's
    found |= {f"ARM_{name}": setting(name) for name in ("TENANT_ID", "CLIENT_ID")}
    if secret:
        return found | {"ARM_CLIENT_SECRET": secret}
    if certificate:
        password = setting("CLIENT_CERTIFICATE_PASSWORD")
        return found | {"ARM_CLIENT_CERTIFICATE_PATH": certificate, "ARM_CLIENT_CERTIFICATE_PASSWORD": password}
    return found | {"PKR_VAR_client_jwt": _token(str(token_file))}


def require_readable() -> None:
    """Raise MissingError for a certificate that Azure's SDK can read and Packer's plugin cannot: PEM."""
    certificate = setting("CLIENT_CERTIFICATE_PATH")
    if not certificate or setting("CLIENT_SECRET"):
        return
    try:
        start = Path(certificate).read_bytes()[:64]
    except OSError:
        return  # whoever signs in with it tells
    if start.lstrip().startswith(_PEM):
        raise MissingError(
            f"Packer cannot read {certificate}: a bake needs the certificate as PFX",
            hint=f"`openssl pkcs12 -export -in {certificate} -out cert.pfx`, then AZURE_CLIENT_CERTIFICATE_PATH=cert.pfx and"
            " AZURE_CLIENT_CERTIFICATE_PASSWORD",
        )


def _token(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise MissingError(f"the token file {file} cannot be read: {error}", hint="AZURE_FEDERATED_TOKEN_FILE names it") from error
