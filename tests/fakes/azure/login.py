"""login.microsoftonline.com: discovery, and tokens for a client's secret, in both versions of OAuth."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.fakes.azure.answers import Result
from tests.fakes.azure.book import CLIENT, TENANT

HOST = "login.microsoftonline.com"
SECRET = "fake-client-secret-of-the-tests"
LIFE_S = 3599
OBJECT = "44444444-aaaa-4bbb-8ccc-000000000004"
"""The id of the service principal, where role assignments name it."""


@dataclass
class Directory:
    """Who may sign in."""

    clients: dict[str, str] = field(default_factory=lambda: {CLIENT: SECRET})
    """Application id → secret."""
    expired: set[str] = field(default_factory=set)
    """Applications whose secret has expired."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Token → when it ends, in seconds since 1970."""

    def forget(self) -> None:
        fresh = Directory()
        self.clients, self.expired, self.tokens = fresh.clients, fresh.expired, fresh.tokens

    def is_valid(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        return kind.lower() == "bearer" and self.tokens.get(token, 0.0) > time.time()


def answer(directory: Directory, method: str, path: str, body: bytes) -> Result:
    """The answer to any request to this host."""
    words = path.strip("/").split("/")
    if words[:3] == ["common", "discovery", "instance"]:
        return Result(200, _discovery())
    if words[0].lower() != TENANT:
        return _refused(400, "invalid_tenant", 90002, f"Tenant '{words[0]}' not found. Check to make sure you have the correct tenant ID and are signing into the "
                        "correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.")  # fmt: skip
    if path.endswith("/.well-known/openid-configuration"):
        return Result(200, _configuration(v2="v2.0" in words))
    if method == "POST" and words[1:] in (["oauth2", "token"], ["oauth2", "v2.0", "token"]):
        return _token(directory, dict(parse_qsl(body.decode())), v2="v2.0" in words)
    return Result(404, {"error": "not_found", "error_description": path})


def _discovery() -> dict[str, Any]:
    names = [HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    return {
        "tenant_discovery_endpoint": f"https://{HOST}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": HOST, "preferred_cache": "login.windows.net", "aliases": names}],
    }


def _configuration(*, v2: bool) -> dict[str, Any]:
    base = f"https://{HOST}/{TENANT}/oauth2" + ("/v2.0" if v2 else "")
    return {
        "token_endpoint": f"{base}/token",
        "authorization_endpoint": f"{base}/authorize",
        "device_authorization_endpoint": f"{base}/devicecode",
        "end_session_endpoint": f"{base}/logout",
        "jwks_uri": f"https://{HOST}/{TENANT}/discovery/v2.0/keys",
        "issuer": f"https://{HOST}/{TENANT}/v2.0" if v2 else f"https://sts.windows.net/{TENANT}/",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }


def _token(directory: Directory, form: dict[str, str], *, v2: bool) -> Result:
    client = form.get("client_id", "")
    if form.get("grant_type") != "client_credentials":
        return _refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    if client not in directory.clients:
        return _refused(400, "unauthorized_client", 700016, f"Application with identifier '{client}' was not found in the directory 'Fake'. This can happen if the "
                        "application has not been installed by the administrator of the tenant or consented to by any user in the tenant.")  # fmt: skip
    if form.get("client_secret") != directory.clients[client]:
        return _refused(401, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                        f"not the client secret ID, for a secret added to app '{client}'.")  # fmt: skip
    if client in directory.expired:
        return _refused(401, "invalid_client", 7000222, f"The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new "
                        "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
                        "https://aka.ms/certCreds.")  # fmt: skip
    now = int(time.time())
    audience = form.get("resource") or form.get("scope", "").removesuffix("/.default")
    token = _jwt({"aud": audience, "iss": f"https://sts.windows.net/{TENANT}/", "iat": now, "nbf": now, "exp": now + LIFE_S, "appid": client, "oid": OBJECT,
                  "tid": TENANT, "idtyp": "app", "ver": "1.0", "uti": uuid.uuid4().hex})  # fmt: skip
    directory.tokens[token] = now + LIFE_S
    if v2:
        return Result(200, {"token_type": "Bearer", "expires_in": LIFE_S, "ext_expires_in": LIFE_S, "access_token": token})
    times = {"expires_in": str(LIFE_S), "ext_expires_in": str(LIFE_S), "expires_on": str(now + LIFE_S), "not_before": str(now)}
    return Result(200, {"token_type": "Bearer", **times, "resource": audience, "access_token": token})


def _jwt(claims: dict[str, Any]) -> str:
    parts = [json.dumps(one).encode() for one in ({"typ": "JWT", "alg": "RS256"}, claims)]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (*parts, b"not signed"))


def _refused(status: int, error: str, code: int, text: str) -> Result:
    number = str(uuid.uuid4())
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    body = {
        "error": error,
        "error_description": f"AADSTS{code}: {text} Trace ID: {number} Correlation ID: {number} Timestamp: {stamp}",
        "error_codes": [code], "timestamp": stamp, "trace_id": number, "correlation_id": number,
        "error_uri": f"https://{HOST}/error?code={code}",
    }  # fmt: skip
    return Result(status, body)
