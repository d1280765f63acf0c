"""What Packer prints of Azure's errors → the code, as far as the words tell it.

azure-arm prints an error as Go has it (`Code="X" Message="…" Details=[…]`), as a list (`ERROR: -> X : …`), as JSON, or only its words.
"""

from __future__ import annotations

import re

from goldbake.clouds.azure.answers import said_in_text
from goldbake.clouds.azure.errors import GENERIC, ROWS, best, row_of

WORDS: tuple[tuple[str, str], ...] = (
    (r"sufficient capacity for the requested VM size.{0,80}\bzone\b", "ZonalAllocationFailed"),
    (r"sufficient capacity for the requested VM size", "AllocationFailed"),
    (r"condition is too restrictive", "OverconstrainedAllocationRequest"),
    (r"Allocation failed\.", "AllocationFailed"),
    (r"exceeding (?:the )?approved .{1,80} quota", "OperationNotAllowed"),
    (r"exceeding quota limits?", "OperationNotAllowed"),
    (r"requested (?:VM )?size for resource .{1,300}is currently not available in location", "SkuNotAvailable"),
    (r"requested VM size .{1,80} is not available in the current region", "InvalidParameter"),
    (r"does not have permission to perform action", "LinkedAuthorizationFailed"),
    (r"does not have authorization to perform action", "AuthorizationFailed"),
    (r"is not registered to use namespace", "MissingSubscriptionRegistration"),
    (r"disallowed by policy", "RequestDisallowedByPolicy"),
    (r"disallowed by Azure", "RequestDisallowedByAzure"),
    (r"accept(?:ed)? the legal terms|Legal terms have not been accepted", "ResourcePurchaseValidationFailed"),
    (r"gallery image .{1,300}is not available in", "GalleryImageNotFound"),
    (r"platform image .{1,200}is not available", "PlatformImageNotFound"),
    (r"disabled and therefore marked as read only", "ReadOnlyDisabledSubscription"),
    (r"scope\(s\) are locked", "ScopeLocked"),
    (r"Resource group '[^']{1,90}' could not be found", "ResourceGroupNotFound"),
    (r"subscription '[^']{1,60}' could not be found", "SubscriptionNotFound"),
    (r"smaller than the size of the corresponding disk", "OperationNotAllowed"),
    (r"cannot boot Hypervisor Generation", "BadRequest"),
    (r"TrustedLaunch", "BadRequest"),
    (r"Cannot create more than \d+ (?:IPv4 \w+ SKU )?public IP addresses", "PublicIPCountLimitReached"),
    (r"does(?: not|n't) have enough capacity for", "SubnetIsFull"),
    (r"OS Provisioning for VM .{1,100} did not finish in the allotted time", "OSProvisioningTimedOut"),
)
"""Words of Azure's messages, as the sources of the tables in `refusals*.py` have them → the code that comes with them. The first one counts."""


def recognised(text: str) -> str:
    """The code of the error in what Packer printed; empty when there is none that is known."""
    found = [said for said in said_in_text(text) if row_of(said.code, said.words) is not None]
    codes = [best(found).code] if found else []
    codes += [row.code for row in ROWS if re.search(rf"(?<![\w.]){re.escape(row.code)}(?![\w.])", text)]
    codes += [code for words, code in WORDS if re.search(words, text, re.IGNORECASE | re.DOTALL)]
    return next((code for code in codes if code not in GENERIC), next(iter(codes), ""))
