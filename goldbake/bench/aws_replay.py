"""The calls of a run once more, by a plain script: what they cost without anything around them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore import xform_name

_ID = re.compile(r"\b(?:i|sg|lt)-[0-9a-f]{17}\b")
_MADE = {
    "CreateSecurityGroup": lambda answer: [answer["GroupId"]],
    "CreateLaunchTemplate": lambda answer: [answer["LaunchTemplate"]["LaunchTemplateId"]],
    "CreateFleet": lambda answer: [name for one in answer["Instances"] for name in one["InstanceIds"]],
    "RunInstances": lambda answer: [one["InstanceId"] for one in answer["Instances"]],
}


def run(calls: Sequence[Mapping[str, Any]]) -> None:
    """Issue the calls of the fake's log one after the other, with the ids of what they make now in place of those that they made then."""
    session = boto3.Session()
    clients: dict[str, Any] = {}
    made: dict[str, list[str]] = {"i": [], "sg": [], "lt": []}
    known: dict[str, str] = {}

    def now(found: re.Match[str]) -> str:
        kind = found[0].partition("-")[0]
        if found[0] not in known and made[kind]:
            known[found[0]] = made[kind].pop(0)
        return known.get(found[0], found[0])

    for call in calls:
        if call["service"] != "ec2" or call["code"]:
            continue
        client = clients.setdefault(call["region"], None) or session.client("ec2", region_name=call["region"])
        clients[call["region"]] = client
        answer = getattr(client, xform_name(call["action"]))(**_again(call["parameters"], now))
        for name in _MADE.get(call["action"], lambda _: [])(answer):
            made[name.partition("-")[0]].append(name)


def _again(value: Any, now: Any) -> Any:
    if isinstance(value, dict):
        changed = {key: _again(one, now) for key, one in value.items()}
        if "ClientToken" in changed:
            changed["ClientToken"] = uuid.uuid4().hex
        if "UserData" in changed:  # the log does not keep it
            changed["UserData"] = "I2Nsb3VkLWNvbmZpZwp7fQ=="
        return changed
    if isinstance(value, list):
        return [_again(one, now) for one in value]
    return _ID.sub(now, value) if isinstance(value, str) else value
