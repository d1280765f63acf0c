"""The rows of `doctor` about Azure DevOps: organization, PAT, pool."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping

from goldbake.azdo import credentials
from goldbake.azdo.client import Client
from goldbake.azdo.errors import AccessError, AzureDevOpsError
from goldbake.azdo.pools import Pool, Pools
from goldbake.finding import Finding

HOW = "set AZP_URL and AZP_TOKEN_FILE (or AZP_TOKEN), and AZP_POOL if it is not Default, to have them checked"


def examine(organization: str = "", pool: str = "", environ: MutableMapping[str, str] = os.environ) -> list[Finding]:
    """Look at organization, PAT and pool as far as they are named; changes nothing, asks nobody. None is needed for a local bake."""
    return list(_rows(organization, pool, environ))


def _rows(flag: str, pool_flag: str, environ: MutableMapping[str, str]) -> Iterator[Finding]:
    if not (flag or environ.get("AZP_URL")) or not credentials.is_configured(environ):
        yield Finding("Azure DevOps", "not configured", HOW, required=False)
        return
    what = "organization"
    warnings: list[str] = []
    try:
        url = credentials.organization(flag, environ)
        pat = credentials.pat(warnings.append, organization=url, environ=environ)
        for warning in warnings:
            text, _, fix = warning.partition("; ")
            yield Finding("PAT file", text, fix, required=False)
        with Client(url, pat, tries=2) as client:
            pools = Pools(client)
            who = pools.check()
            yield Finding("organization", f"{url}{' (simulated)' if client.simulated else ''}", required=False)
            yield Finding("PAT", f"of {who.name}", required=False)
            what = "pool"
            found = pools.find_pool(credentials.pool(pool_flag, environ))
            yield _pool(found, pools)
            if found.auto_update is not False:
                yield _auto_update(found, url)
            what = "pool role"
            pools.require_manage(found)
            yield Finding("pool role", f"may register agents in {found.name}", required=False)
    except AzureDevOpsError as error:
        at_the_door = what == "organization" and isinstance(error, AccessError)
        yield Finding("PAT" if at_the_door else what, error.message, error.hint, required=False)


def _pool(found: Pool, pools: Pools) -> Finding:
    agents = pools.agents(found.id)
    online = sum(agent.is_online for agent in agents)
    state = f"{found.name}: agents {online} online, {len(agents) - online} offline; jobs queued {pools.queue_length(found.id)}"
    return Finding("pool", state, required=False)


def _auto_update(found: Pool, url: str) -> Finding:
    fix = f"turn off “Update agents in this pool automatically” at {url}/_settings/agentpools?poolId={found.id}&view=settings"
    return Finding("pool updates", f"{found.name} may replace the agent that was baked", fix, required=False)
