"""The rows of doctor about Azure DevOps."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldbake.azdo.examine import HOW, examine
from goldbake.finding import Finding
from sim.azdo import SimulatedAzureDevOps
from tests.servers import closed_port
from tests.unit.azdo.agents import go_online, register
from tests.unit.azdo.conftest import Connect


@pytest.fixture
def configured(service: SimulatedAzureDevOps, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("SSL_CERT_FILE", str(service.ca_path))
    return {"AZP_URL": service.url, "AZP_TOKEN": service.pat}


@pytest.mark.parametrize("environ", [{}, {"AZP_URL": "https://dev.azure.com/foo"}, {"AZP_TOKEN": "x"}])
def test_what_is_not_configured_is_one_row_that_says_how(environ: dict[str, str]) -> None:
    assert examine(environ=dict(environ)) == [Finding("Azure DevOps", "not configured", HOW, required=False)]


def test_all_is_well(service: SimulatedAzureDevOps, connect: Connect, configured: dict[str, str]) -> None:
    service.add_pool("gpu", auto_update=False)
    pools = connect(service)
    go_online(pools, 2, register(pools, 2, "goldbake-1"))
    busy = pools.agents(2)[0]
    pools.disable_agent(2, busy)
    register(pools, 2, "goldbake-2")
    service.queue_job("gpu")
    assert examine(pool="gpu", environ=configured) == [
        Finding("organization", f"{service.url} (simulated)", required=False),
        Finding("PAT", "of Pool Administrator", required=False),
        Finding("pool", "gpu: agents 1 online, 1 offline; jobs queued 1", required=False),
        Finding("pool role", "may register agents in gpu", required=False),
    ]
    assert "AZP_TOKEN" not in configured


def test_a_pool_that_updates_agents_is_advised_against(configured: dict[str, str]) -> None:
    row = {row.what: row for row in examine(environ=configured)}["pool updates"]
    assert "Default may replace the agent that was baked" in row.state
    assert "/_settings/agentpools?poolId=1" in row.fix


def test_a_wrong_pat_is_one_row(configured: dict[str, str]) -> None:
    rows = examine(environ={**configured, "AZP_TOKEN": "not-a-token-of-anybody"})
    assert [(row.what, row.good, row.required) for row in rows] == [("PAT", False, False)]
    assert "_usersSettings/tokens" in rows[0].fix


def test_an_organization_that_is_not_there_is_one_row(configured: dict[str, str]) -> None:
    rows = examine(organization=closed_port().replace("http:", "https:") + "/demo", environ=configured)
    assert [(row.what, row.good) for row in rows] == [("organization", False)]
    assert "refuses the connection" in rows[0].state


def test_an_organization_that_cannot_be_is_one_row(configured: dict[str, str]) -> None:
    rows = examine(organization="http://x", environ=configured)
    assert [(row.what, row.good) for row in rows] == [("organization", False)]


def test_a_missing_pool_is_told_after_what_is_well(configured: dict[str, str]) -> None:
    rows = examine(environ={**configured, "AZP_POOL": "gpu"})
    assert [(row.what, row.good) for row in rows] == [("organization", True), ("PAT", True), ("pool", False)]
    assert "--pool gpu --create-pool" in rows[2].fix


def test_a_pat_without_the_scope_is_told(service: SimulatedAzureDevOps, configured: dict[str, str]) -> None:
    rows = examine(environ={**configured, "AZP_TOKEN": service.add_pat(scopes=("vso.agentpools",))})
    assert [(row.what, row.good) for row in rows if row.what == "pool role"] == [("pool role", False)]
    assert "Agent Pools (Read & manage)" in rows[-1].fix


def test_a_file_that_others_may_read_is_a_row(service: SimulatedAzureDevOps, configured: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "pat"
    path.write_text(service.pat)
    path.chmod(0o644)
    row = examine(environ={"AZP_URL": service.url, "AZP_TOKEN_FILE": str(path)})[0]
    assert row == Finding("PAT file", f"others may read the PAT in {path} (mode 0644)", f"run `chmod 600 {path}`", required=False)
