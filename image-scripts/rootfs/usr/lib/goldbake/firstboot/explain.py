"""Every phase and every error class of the status: what it means, where it comes from, how to repair it. docs/reference/first-boot.md is made of it."""

from __future__ import annotations

PHASES = {
    "started": "The program runs and looks for its user-data.",
    "input": "User-data was found and is read.",
    "probe": "The service is asked whether organization, PAT and pool are right.",
    "gpu": "The driver must show as many GPUs as the PCI bus does. Skipped without a GPU.",
    "register": "The agent's own config.sh registers this machine.",
    "verify": "What config.sh left is compared with what was asked for.",
    "start": "The PAT is wiped; the agent's service starts.",
    "online": "The agent listens for jobs.",
    "not-configured": "There is no user-data of goldbake. Nothing was changed.",
    "failed": "It ended; `error`, `reason` and `hint` say why.",
}
"""Values of `phase`, in their order."""


class Explanation:
    """One error class. `code`: exit code of goldbake-firstboot. `permanent`: trying again cannot help, so the PAT is wiped at once."""

    def __init__(self, code: int, *, permanent: bool, meaning: str, cause: str, fix: str) -> None:
        self.code = code
        self.permanent = permanent
        self.meaning = meaning
        self.cause = cause
        self.fix = fix


ERRORS = {
    "input": Explanation(
        10,
        permanent=True,
        meaning="The user-data is goldbake's, but cannot be used.",
        cause="A key that is missing, unknown, empty, of the wrong type or with control characters; more than 16 KiB; no JSON.",
        fix="correct the named key and launch again",
    ),
    "auth": Explanation(
        11,
        permanent=True,
        meaning="The service does not accept the PAT.",
        cause="It is mistyped, expired, revoked, or of another organization: 401, 203 with a sign-in page, or a redirection.",
        fix="make a PAT with the scope Agent Pools (read, manage) in this organization, and launch again",
    ),
    "organization": Explanation(
        12,
        permanent=True,
        meaning="There is no such organization.",
        cause="The service answers 404 for its address.",
        fix="compare with the address of the organization in a browser, and launch again",
    ),
    "permission": Explanation(
        13,
        permanent=True,
        meaning="The PAT is valid, but may not do this.",
        cause="The scope Agent Pools (read, manage) is missing, or its owner is no administrator of the pool: 403.",
        fix="give the PAT's owner the role Administrator on the pool and the PAT the scope Agent Pools (read, manage), and launch again",
    ),
    "pool": Explanation(
        14,
        permanent=True,
        meaning="There is no such pool, or the PAT's owner cannot see it.",
        cause="The list of pools of this name is empty.",
        fix="create the pool (Organization settings, Agent pools), or correct its name, and launch again",
    ),
    "gpu": Explanation(
        15,
        permanent=True,
        meaning="There is a GPU, and it is not usable.",
        cause="The driver does not load, or nvidia-smi shows fewer GPUs than the PCI bus.",
        fix="replace the machine; on it, `dmesg | grep NVRM` and `nvidia-smi` say more",
    ),
    "guard": Explanation(
        16,
        permanent=True,
        meaning="The rule that keeps jobs from the metadata service does not load.",
        cause="nftables cannot load /usr/lib/goldbake/metadata-guard.nft.",
        fix="look at `systemctl status goldbake-metadata-guard`; does the kernel have nf_tables?",
    ),
    "scale-set": Explanation(
        17,
        permanent=True,
        meaning="Azure's own extension for scale-set agents is on this machine.",
        cause="The machine belongs to a scale set that Azure Pipelines manages; two agents would fight over it.",
        fix="use goldbake's image outside of Azure Pipelines' scale-set pools",
    ),
    "credentials": Explanation(
        18,
        permanent=True,
        meaning="The service gave the agent no key of its own.",
        cause="config.sh fell back to storing the PAT; its files were wiped.",
        fix="is the address that of Azure DevOps, with nothing in between that changes its answers?",
    ),
    "register": Explanation(
        20,
        permanent=False,
        meaning="config.sh failed, or did not end in time.",
        cause="Its last lines are in the journal.",
        fix="look at `journalctl -u goldbake-firstboot`; `systemctl restart goldbake-firstboot` tries again",
    ),
    "network": Explanation(
        21,
        permanent=False,
        meaning="The service cannot be reached.",
        cause="No address, no route, a firewall, a wrong proxy, or a name that does not resolve.",
        fix="does the subnet reach the service (route, NAT, security group, proxy)? `systemctl restart goldbake-firstboot` tries again",
    ),
    "tls": Explanation(
        22,
        permanent=False,
        meaning="The service's certificate is not trusted.",
        cause="A proxy that opens TLS, or a service with a certificate of its own.",
        fix="give the certificate as `ca` and launch again",
    ),
    "service": Explanation(
        23,
        permanent=False,
        meaning="The service answers, but not properly.",
        cause="5xx, 429, a page instead of JSON, or an answer that breaks off.",
        fix="look at https://status.dev.azure.com; `systemctl restart goldbake-firstboot` tries again",
    ),
    "clock": Explanation(
        24,
        permanent=False,
        meaning="This machine's clock is more than 4 minutes off.",
        cause="Time was not synchronized yet, or cannot be.",
        fix="let the machine reach a time server (UDP 123); `systemctl restart goldbake-firstboot` tries again",
    ),
    "metadata": Explanation(
        25,
        permanent=False,
        meaning="The cloud's metadata service does not answer as it should.",
        cause="It is switched off for this instance, or the network is not up.",
        fix="is the metadata service enabled for the instance? `systemctl restart goldbake-firstboot` tries again",
    ),
    "agent": Explanation(
        26,
        permanent=False,
        meaning="The agent is registered, but its service does not get online, or has stopped for good.",
        cause="Its last lines are in the journal.",
        fix="look at `journalctl -u goldbake-agent`",
    ),
    "system": Explanation(
        27,
        permanent=False,
        meaning="systemd did not do what it was asked for.",
        cause="The machine was shut down while first boot was at work, or process 1 does not answer.",
        fix="start the machine again; `systemctl restart goldbake-firstboot` tries again on a running one",
    ),
    "internal": Explanation(
        1,
        permanent=False,
        meaning="The program itself failed.",
        cause="A mistake in goldbake, or a broken file system; the unit is failed too.",
        fix="look at `journalctl -u goldbake-firstboot` and report it",
    ),
}
"""Values of `error`."""
