"""The smallest policy: enough for every call in our code, and for nothing but our own things."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from goldbake.clouds.aws import policy
from goldbake.clouds.aws.policy import Purpose
from goldbake.paths import PROJECT

_FREE = {"sts:GetCallerIdentity"}
"""What needs no permission."""
_OWN = {"StringEquals": {"aws:ResourceTag/managed-by": "goldbake"}}
_BORN = {"StringEquals": {"aws:RequestTag/managed-by": "goldbake"}}


def _operations() -> dict[str, str]:
    """Name of a client's method → action of a policy, for every service that we use."""
    session = botocore.session.get_session()
    services = {"ec2": "ec2", "service-quotas": "servicequotas", "sts": "sts"}
    return {
        xform_name(name): f"{prefix}:{name}"
        for service, prefix in services.items()
        for name in session.get_service_model(service).operation_names
    }


_OF_BOTH = "resources.py"
"""What launches and bakes list and delete: held against both, and no part of what doctor does."""


def _called(file: Path, operations: dict[str, str]) -> Iterator[str]:
    """Every action that a module can ask for: methods of clients, and operations that are named in a string, as for a paginator."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        word = node.attr if isinstance(node, ast.Attribute) else node.value if isinstance(node, ast.Constant) else None
        if isinstance(word, str) and word in operations:
            yield operations[word]


@pytest.fixture(scope="module")
def operations() -> dict[str, str]:
    return _operations()


@pytest.mark.parametrize(
    ("modules", "purposes"),
    [
        ("launch/aws/*.py", {Purpose.LAUNCH, Purpose.DESTROY}),
        (f"goldbake/clouds/aws/{_OF_BOTH}", {Purpose.LAUNCH, Purpose.DESTROY}),
        (f"goldbake/clouds/aws/{_OF_BOTH}", {Purpose.BAKE, Purpose.DESTROY}),
        ("goldbake/images/*.py", {Purpose.BAKE, Purpose.DESTROY}),
        ("goldbake/clouds/aws/[!p]*.py", {Purpose.DOCTOR, Purpose.BAKE}),
    ],
)
def test_every_call_of_our_code_is_in_the_policy(modules: str, purposes: set[Purpose], operations: dict[str, str]) -> None:
    files = [file for file in PROJECT.glob(modules) if file.name != _OF_BOTH or modules.endswith(_OF_BOTH)]
    called = {action for file in files for action in _called(file, operations)}
    assert called
    assert called - policy.actions(purposes) - _FREE == set()


def test_a_call_that_is_not_in_the_policy_would_be_found(tmp_path: Path, operations: dict[str, str]) -> None:
    module = tmp_path / "module.py"
    module.write_text('client.delete_vpc(VpcId="x")\nclient.get_paginator("describe_vpn_gateways")\n')
    assert set(_called(module, operations)) - policy.actions() == {"ec2:DeleteVpc", "ec2:DescribeVpnGateways"}


def test_every_action_exists(operations: dict[str, str]) -> None:
    known = set(operations.values()) | {"ssm:StartSession", "ssm:ResumeSession", "ssm:TerminateSession"}
    known |= {"iam:PassRole", "iam:GetInstanceProfile", "iam:CreateServiceLinkedRole"}
    assert {action for action in policy.actions() if not action.startswith("kms:")} - known == set()


def _statements(purposes: set[Purpose] | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy.document(purposes if purposes is not None else set(Purpose))["Statement"]
    return found


@pytest.mark.parametrize("action", sorted(policy.CHANGE.keys() - policy.MAKE.keys() - {"ec2:CreateTags"}))
def test_what_changes_or_removes_reaches_only_what_is_ours(action: str) -> None:
    assert [statement.get("Condition") for statement in _statements() if action in statement["Action"]] == [_OWN]


def test_tags_are_set_at_birth_or_on_what_is_ours() -> None:
    conditions = [statement["Condition"]["StringEquals"] for statement in _statements() if "ec2:CreateTags" in statement["Action"]]
    births = ["CopyImage", "CreateFleet", "CreateImage", "CreateKeyPair", "CreateLaunchTemplate", "CreateSecurityGroup", "RunInstances"]
    assert conditions == [{"ec2:CreateAction": births}, _OWN["StringEquals"]]


def test_nothing_that_costs_money_starts_without_our_tag() -> None:
    for statement in _statements():
        if (
            any(resource.endswith((":instance/*", ":volume/*", ":fleet/*")) for resource in statement["Resource"])
            and "Session" not in statement["Sid"]
        ):
            assert statement["Condition"] == _BORN


def test_only_reading_is_allowed_everywhere_without_a_condition() -> None:
    for statement in _statements():
        if statement["Resource"] == ["*"] and "Condition" not in statement:
            assert all(action.partition(":")[2].startswith(("Describe", "Get")) for action in statement["Action"])


def test_those_who_only_destroy_can_start_nothing() -> None:
    allowed = policy.actions({Purpose.DESTROY})
    assert "ec2:TerminateInstances" in allowed
    assert {action for action in allowed if action.partition(":")[2].startswith(("Run", "Create", "Copy"))} == set()


def test_the_policy_fits_into_a_managed_policy() -> None:
    """6,144 characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""
    assert len(json.dumps(policy.document(), separators=(",", ":"))) <= 6144


def test_names_of_statements_are_unique_and_alphanumeric() -> None:
    names = [statement["Sid"] for statement in _statements()]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)
