"""Errors as the SDK raises them, from answers as Azure gives them."""

from __future__ import annotations

import json
from typing import Any

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.core.exceptions import ARMErrorFormat

QUOTA = (
    "Operation could not be completed as it results in exceeding approved {name} quota. Additional details - Deployment Model: Resource Manager,"
    " Location: eastus, Current Limit: {limit}, Current Usage: {used}, Additional Required: {more}, (Minimum) New Limit Required: {new}."
    " Setup Alerts when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase at"
    " https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView/Parameters/%7B%22subscriptionId%22:%22x%22%7D by specifying"
    " parameters listed in the 'Details' section for deployment to succeed."
)


def quota(name: str, *, limit: int = 0, used: int = 0, more: int = 24) -> str:
    """The words of a refused quota."""
    return QUOTA.format(name=name, limit=limit, used=used, more=more, new=used + more)


class Answer:
    """What the SDK keeps of an answer."""

    def __init__(self, status: int, body: Any) -> None:
        self.status_code = status
        self.reason = "OK" if status < 400 else "Refused"
        self.request = None
        self._body = body if isinstance(body, str) else json.dumps(body)

    def text(self) -> str:
        return self._body


def at_once(status: int, code: str, said: str, **more: Any) -> HttpResponseError:
    """An error that a call is answered with."""
    kinds = {401: ClientAuthenticationError, 404: ResourceNotFoundError, 409: ResourceExistsError}
    answer: Any = Answer(status, {"error": {"code": code, "message": said, **more}})
    return kinds.get(status, HttpResponseError)(response=answer, error_format=ARMErrorFormat)


def at_the_end(code: str, said: str, **more: Any) -> HttpResponseError:
    """An error that a long-running operation ends with."""
    answer: Any = Answer(200, {"status": "Failed", "name": "op", "error": {"code": code, "message": said, **more}})
    return HttpResponseError(response=answer)


def with_body(status: int, body: Any) -> HttpResponseError:
    """An error whose answer is anything."""
    answer: Any = Answer(status, body)
    return HttpResponseError(response=answer)
