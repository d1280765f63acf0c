"""Where credentials and the subscription come from, and how patient the SDK is."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from goldbake import proc
from goldbake.clouds.azure import session
from goldbake.clouds.azure.session import Azure, is_configured, subscription_of
from goldbake.clouds.failure import Failure
from goldbake.errors import Exit, MissingError
from goldbake.secret import redact

TENANT, CLIENT = "11111111-aaaa-4bbb-8ccc-000000000001", "33333333-aaaa-4bbb-8ccc-000000000003"
HERE, THERE = "22222222-aaaa-4bbb-8ccc-000000000002", "22222222-aaaa-4bbb-8ccc-00000000000f"
_NAMES = (
    "TENANT_ID",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "SUBSCRIPTION_ID",
    "CLIENT_CERTIFICATE_PATH",
    "CLIENT_CERTIFICATE_PASSWORD",
    "USERNAME",
    "PASSWORD",
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials at all, whatever the person who runs the tests has."""
    for name in _NAMES:
        monkeypatch.delenv(f"AZURE_{name}", raising=False)
        monkeypatch.delenv(f"ARM_{name}", raising=False)
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "ARM_OIDC_TOKEN_FILE_PATH", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(session, "_CHASSIS", tmp_path / "chassis")


def _set(monkeypatch: pytest.MonkeyPatch, prefix: str, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"{prefix}_{name}", value)


def _cli(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """An Azure CLI that is installed and has this profile."""
    folder.mkdir()
    (folder / "azureProfile.json").write_text(text, encoding="utf-8-sig")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(folder))
    monkeypatch.setattr(proc, "find", lambda name: Path("/usr/bin/az") if name == "az" else None)


@pytest.mark.parametrize("prefix", ["AZURE", "ARM"])
def test_a_service_principal_goes_by_the_names_of_azure_or_of_terraform(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    _set(monkeypatch, prefix, TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_SECRET="s", SUBSCRIPTION_ID=HERE)
    azure = Azure()
    assert isinstance(azure.credential, ClientSecretCredential)
    assert azure.subscription == HERE
    assert is_configured()


def test_a_secret_that_a_program_prints_is_not_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "ARM", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_SECRET="very~secret.of.a.principal", SUBSCRIPTION_ID=HERE)
    Azure()
    assert redact("azure-arm: very~secret.of.a.principal") == "azure-arm: ***"


def test_azures_own_names_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", SUBSCRIPTION_ID=HERE)
    _set(monkeypatch, "ARM", SUBSCRIPTION_ID=THERE)
    assert subscription_of() == HERE


def test_the_environment_names_the_subscription_before_images_yaml_and_the_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _cli(monkeypatch, tmp_path / "az", json.dumps({"subscriptions": [{"id": "other"}, {"id": "default", "isDefault": True}]}))
    assert subscription_of() == "default"
    assert subscription_of(THERE) == THERE
    _set(monkeypatch, "ARM", SUBSCRIPTION_ID=HERE)
    assert subscription_of(THERE) == HERE


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"subscriptions": 3}', '{"subscriptions": [{"isDefault": true}]}', '{"subscriptions": ["x"]}']
)
def test_a_profile_of_the_cli_that_cannot_be_read_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    _cli(monkeypatch, tmp_path / "az", text)
    assert subscription_of() == ""
    assert not is_configured()


def test_a_profile_without_the_cli_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _cli(monkeypatch, tmp_path / "az", json.dumps({"subscriptions": [{"id": "x", "isDefault": True}]}))
    monkeypatch.setattr(proc, "find", lambda name: None)
    assert not is_configured()


def test_a_machine_of_azure_with_a_subscription_may_have_an_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _set(monkeypatch, "AZURE", SUBSCRIPTION_ID=HERE)
    assert not is_configured()
    (tmp_path / "chassis").write_text("7783-7084-3265-9085-8269-3286-77\n")
    assert is_configured()
    (tmp_path / "chassis").write_bytes(b"\xff")
    assert not is_configured()
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/")
    assert is_configured()


def test_without_a_subscription_the_hint_says_where_to_find_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_SECRET="s")
    assert not is_configured()
    with pytest.raises(MissingError) as raised:
        Azure()
    assert raised.value.exit_code is Exit.MISSING
    assert "az account list" in raised.value.hint


@pytest.mark.parametrize(
    ("given", "lacking"),
    [({"TENANT_ID": TENANT}, "AZURE_CLIENT_ID"), ({"CLIENT_ID": CLIENT}, "AZURE_TENANT_ID"), ({}, "AZURE_TENANT_ID and")],
)
def test_half_of_the_credentials_is_named_and_the_secret_is_not_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], lacking: str
) -> None:
    _set(monkeypatch, "AZURE", CLIENT_SECRET="very-secret", SUBSCRIPTION_ID=HERE, **given)
    with pytest.raises(MissingError, match=lacking) as raised:
        Azure()
    assert "very-secret" not in f"{raised.value.message} {raised.value.hint}"


def test_a_tenant_that_cannot_be_one_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", TENANT_ID="https://x/y", CLIENT_ID=CLIENT, CLIENT_SECRET="s", SUBSCRIPTION_ID=HERE)
    with pytest.raises(MissingError, match="cannot be used"):
        Azure()


def test_a_certificate_that_is_not_there_is_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "cert.pem")
    _set(monkeypatch, "ARM", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_CERTIFICATE_PATH=path, SUBSCRIPTION_ID=HERE)
    with pytest.raises(MissingError, match="cannot be used"):
        Azure()


def test_a_certificate_signs_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    kind = trustme.KeyType.RSA
    certificate = trustme.CA(key_type=kind).issue_cert("goldbake.test", key_type=kind)
    path.write_bytes(certificate.private_key_pem.bytes() + certificate.cert_chain_pems[0].bytes())
    _set(monkeypatch, "AZURE", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_CERTIFICATE_PATH=str(path), SUBSCRIPTION_ID=HERE)
    assert isinstance(Azure().credential, CertificateCredential)


@pytest.mark.parametrize("name", ["AZURE_FEDERATED_TOKEN_FILE", "ARM_OIDC_TOKEN_FILE_PATH"])
def test_the_token_of_a_pipeline_signs_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    _set(monkeypatch, "ARM", TENANT_ID=TENANT, CLIENT_ID=CLIENT, SUBSCRIPTION_ID=HERE)
    monkeypatch.setenv(name, str(tmp_path / "token"))
    assert isinstance(Azure().credential, WorkloadIdentityCredential)
    assert is_configured()


def test_otherwise_the_sdks_own_chain_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", SUBSCRIPTION_ID=HERE)
    assert isinstance(Azure().credential, DefaultAzureCredential)


def test_a_client_is_made_once_for_each_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_SECRET="s", SUBSCRIPTION_ID=HERE)
    azure = Azure()
    assert azure.client(ComputeManagementClient) is azure.client(ComputeManagementClient, HERE)
    assert azure.client(ComputeManagementClient) is not azure.client(ComputeManagementClient, THERE)
    assert isinstance(azure.client(SubscriptionClient), SubscriptionClient)


def _token(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


@pytest.mark.parametrize(
    ("token", "claims"),
    [(_token({"oid": "o", "appid": "a"}), {"oid": "o", "appid": "a"}), ("opaque", {}), ("a.b!.c", {}), (_token([1]), {}), ("a..b", {})],
)
def test_what_the_token_says_is_read_if_it_can_be(token: str, claims: dict[str, str]) -> None:
    assert session._claims(token) == claims


def test_a_sign_in_that_is_refused_is_a_failure_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "AZURE", TENANT_ID=TENANT, CLIENT_ID=CLIENT, CLIENT_SECRET="s", SUBSCRIPTION_ID=HERE)
    azure = Azure()

    def refused(*_: object, **__: object) -> None:
        raise ClientAuthenticationError(message="Authentication failed: AADSTS7000215: Invalid client secret provided.")

    monkeypatch.setattr(azure.credential, "get_token", refused)
    with pytest.raises(Failure) as raised:
        azure.claims()
    assert (raised.value.code, raised.value.exit_code) == ("AADSTS7000215", Exit.MISSING)


def test_the_sdk_writes_nothing_to_stderr_by_itself() -> None:
    for name in ("azure", "msal", "urllib3"):
        assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger(name).handlers)


def test_a_model_of_the_sdk_is_never_made_first_by_two_threads() -> None:
    """It writes into its class then. In a process of its own: here others have made them already."""
    script = """
from azure.mgmt.compute import ComputeManagementClient, models
from goldbake.clouds.azure import session
lacking = [name for name, kind in vars(models).items() if isinstance(kind, type) and hasattr(kind, "_calculated")]
assert not hasattr(models.VirtualMachine, "_attr_to_rest_field"), "the SDK does it by itself now"
session._prepare_models(ComputeManagementClient)
print(len(lacking), [name for name in lacking if "_attr_to_rest_field" not in vars(getattr(models, name))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    count, missing = done.stdout.split(maxsplit=1)
    assert int(count) > 400
    assert missing.strip() == "[]"
