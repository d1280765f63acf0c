"""How the agent shows who it is: a PAT as Basic, or a token that its key earns (RFC 7523)."""

from __future__ import annotations

import os
import time
from binascii import b2a_base64

from . import jsontext
from .errors import TokenError
from .wire import Url, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rsa import Key
    from .service import Session

_LIFE_S = 300
_MARGIN_S = 60


class Pat:
    """A personal access token; sent with the first request."""

    def __init__(self, token: str) -> None:
        self._header = "Basic " + b2a_base64(f"VstsAgent:{token}".encode(), newline=False).decode()

    def header(self) -> str:
        return self._header

    def renew(self, session: Session) -> bool:
        """Whether another try can succeed: a refused PAT stays refused."""
        return False


class Assertion:
    """The agent's own key. The first request goes without a credential; the refusal makes the agent fetch a token."""

    def __init__(self, client_id: str, audience: str, endpoint: str, key: Key) -> None:
        self._client_id, self._audience, self._endpoint, self._key = client_id, audience, endpoint, key
        self._token = ""
        self._until = 0.0

    def header(self) -> str:
        return f"Bearer {self._token}" if self._token and time.monotonic() < self._until else ""

    def renew(self, session: Session) -> bool:
        """Fetch a new token. Raises TokenError, NetworkError."""
        form = "&".join(
            (
                "grant_type=client_credentials",
                "client_assertion_type=" + quote("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                "client_assertion=" + self.assertion(time.time()),
            )
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = session.patiently("POST", Url(self._endpoint), headers, form.encode(), also=(429, 500))
        try:
            document: dict[str, Any] = jsontext.loads(answer.body)
            if answer.status != 200:
                said = document.get("error_description") or document.get("error") or answer.status
                raise TokenError(str(said), refused=document.get("error") == "invalid_client")
            self._token = str(document["access_token"])
            self._until = time.monotonic() + max(float(document.get("expires_in", 0)) - _MARGIN_S, 1.0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenError(f"The token endpoint answered {answer.status} and no token.") from error
        return True

    def assertion(self, now: float) -> str:
        """A JWT that says: I am this client, and the service knows my public key."""
        claims = {
            "sub": self._client_id,
            "iss": self._client_id,
            "aud": self._audience,
            "jti": guid(),
            "nbf": int(now),
            "exp": int(now) + _LIFE_S,
        }
        signed = f"{_part({'typ': 'JWT', 'alg': 'RS256'})}.{_part(claims)}"
        return f"{signed}.{_url_safe(self._key.sign(signed.encode()))}"


def guid() -> str:
    """A random GUID (RFC 9562, version 4)."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _part(document: dict[str, Any]) -> str:
    return _url_safe(jsontext.dumps(document).encode())


def _url_safe(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode().rstrip("=").replace("+", "-").replace("/", "_")
