"""The numbers of a used-up quota, which Azure writes only into the text of the refusal: which quota, its limit, what is in use, what was wanted."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

REGIONAL = "cores"
SPOT = "lowPriorityCores"
PAGE = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"
"""Where a person asks for more; spot has a row of its own there, “Total Regional Spot vCPUs”."""
THIS = "$(az account show --query id --output tsv)"

_APPROVED = re.compile(r"exceeding (?:the )?approved (?P<name>.+?)(?: Cores)? quota", re.IGNORECASE)
_OLD = re.compile(r"exceeding quota limits? of (?P<name>\w+)", re.IGNORECASE)
_NUMBERS = {
    "limit": re.compile(r"(?:Current Limit|Maximum allowed): (\d+)", re.IGNORECASE),
    "used": re.compile(r"(?:Current Usage|Current in use): (\d+)", re.IGNORECASE),
    "more": re.compile(r"(?:Additional Required|Additional requested): (\d+)", re.IGNORECASE),
}
_LOCATION = re.compile(r"Location: ([A-Za-z0-9]+)")
_NAMES = {"total regional": REGIONAL, "core": REGIONAL, "cores": REGIONAL, "lowpriority": SPOT, "lowprioritycores": SPOT}
"""How the text calls two quotas → their names in the list of usages. A family has the same name in both."""


@dataclass(frozen=True)
class Shortage:
    """A quota that does not suffice, in vCPUs ("cores" in Azure's texts). Numbers are None where Azure did not say them."""

    name: str
    """As the list of usages calls it: StandardNCADSA100v4Family, Standard NCASv3_T4 Family, cores, lowPriorityCores."""
    region: str = ""
    limit: int | None = None
    used: int | None = None
    more: int | None = None

    def __str__(self) -> str:
        what = f"the quota {self.name}" + (f" in {self.region}" if self.region else "")
        numbers = [
            text
            for value, text in (
                (self.limit, f"is {self.limit}"),
                (self.used, f"{self.used} in use"),
                (self.more, f"{self.more} more wanted"),
            )
            if value is not None
        ]
        return f"{what} {', '.join(numbers)}" if numbers else what

    def increase(self, subscription: str = "", region: str = "") -> str:
        """The command that asks for as much as was wanted; without a subscription for the one of `az account show`."""
        wanted = (self.used or 0) + (self.more or 1) if self.more is not None or self.limit is None else self.limit + 1
        scope = f"/subscriptions/{subscription or THIS}/providers/Microsoft.Compute/locations/{self.region or region}"
        kind = "lowPriority" if self.name == SPOT else "dedicated"
        return (
            f"az quota update --resource-name {shlex.quote(self.name)} --scope {scope} --limit-object value={wanted} --resource-type {kind}"
        )


def shortage_of(said: str) -> Shortage | None:
    """What the text of a refusal says of a quota; None when it is about something else."""
    found = _APPROVED.search(said) or _OLD.search(said)
    if found is None:
        return None
    name = found["name"].strip()
    numbers = {key: int(match[1]) if (match := pattern.search(said)) else None for key, pattern in _NUMBERS.items()}
    location = _LOCATION.search(said)
    return Shortage(_NAMES.get(name.lower(), name), location[1] if location else "", **numbers)
