"""Answers that do not come from moto: errors in each protocol's form, and results of JSON 1.1."""

from __future__ import annotations

import json
import uuid
from typing import Any
from xml.sax.saxutils import escape

from tests.fakes.http import Answer


class Refused(Exception):
    """The fake refuses, in EC2's words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def amz(data: Any) -> Answer:
    """A result in the protocol JSON 1.1."""
    return Answer(200, json.dumps(data).encode(), {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())})


def error(service: str, code: str, message: str, status: int) -> Answer:
    """An error as the service tells it: EC2 and STS each have XML of their own, Service Quotas has JSON."""
    number = str(uuid.uuid4())
    if service == "ec2":
        inner = f"<Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error></Errors>"
        return _xml(status, f"<Response>{inner}<RequestID>{number}</RequestID></Response>")
    if service in ("sts", "iam"):
        inner = f"<Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        return _xml(status, f"<ErrorResponse>{inner}<RequestId>{number}</RequestId></ErrorResponse>")
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, body, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code, "x-amzn-RequestId": number})


def _xml(status: int, text: str) -> Answer:
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), {"Content-Type": "text/xml;charset=UTF-8"})
