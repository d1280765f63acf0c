"""May so many machines of a size start here? Restrictions, quotas and capacity, in the order in which Azure looks at them."""

from __future__ import annotations

from tests.fakes.azure.answers import Refused
from tests.fakes.azure.book import Book
from tests.fakes.azure.catalogue import SIZES, Size, limit, used, zones_of


def check_offer(book: Book, size: Size, location: str, zones: list[str]) -> None:
    """Raises Refused where the size is not offered to this subscription."""
    for zone in zones:
        if zone not in zones_of(size, location):
            raise Refused("AvailabilityZoneNotSupported", f"The zone(s) '{zone}' for resource 'Microsoft.Compute/virtualMachines' is not supported. "
                          f"The supported zones for location '{location}' are '{','.join(zones_of(size, location))}'", 400)  # fmt: skip
    for place in [location, *(f"{location}-{zone}" for zone in zones)]:
        if (place, size.name) in book.restricted:
            where = f"location '{location}'" if place == location else f"zones '{place.rpartition('-')[2]}' of location '{location}'"
            raise not_available(size, where)


def not_available(size: Size, where: str) -> Refused:
    """The refusal for a restriction, and for spot machines that there are none of."""
    return Refused("SkuNotAvailable", f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size.name}' is currently "
                   f"not available in {where}. Please try another size or deploy to a different location or different zone. "
                   "See https://aka.ms/azureskunotavailable for details.", 409)  # fmt: skip


def check_quota(book: Book, size: Size, location: str, count: int, *, spot: bool) -> None:
    """Raises OperationNotAllowed, in the service's words, for the quota that is too small."""
    needed = size.cores * count
    quotas = (
        [("lowPriorityCores", "LowPriorityCores")] if spot else [("cores", "Total Regional Cores"), (size.family, f"{size.family} Cores")]
    )
    for name, title in quotas:
        now, most = used(book, location, name), limit(book, location, name)
        if now + needed > most:
            raise over_quota(title, location, most, now, needed)


def over_quota(title: str, location: str, most: int, now: int, needed: int) -> Refused:
    return Refused(
        "OperationNotAllowed",
        f"Operation could not be completed as it results in exceeding approved {title} quota. Additional details - Deployment Model: Resource Manager, "
        f"Location: {location}, Current Limit: {most}, Current Usage: {now}, Additional Required: {needed}, (Minimum) New Limit Required: {now + needed}. "
        "Submit a request for Quota increase at https://aka.ms/ProdportalCRP by specifying parameters listed in the 'Details' section for deployment to "
        "succeed. Please read more about quota limits at https://docs.microsoft.com/en-us/azure/azure-supportability/per-vm-quota-requests", 409,
    )  # fmt: skip


def take(book: Book, size: Size, location: str, zone: str, *, spot: bool) -> Refused | None:
    """Take a machine's room; the error where there is none."""
    for key in ([(f"{location}-{zone}", size.name, spot)] if zone else []) + [(location, size.name, spot)]:
        if key not in book.capacity:
            continue
        if book.capacity[key] <= 0:
            return _zonal(size, zone) if zone else _regional(size)
        book.capacity[key] -= 1
        return None
    return None


def _regional(size: Size) -> Refused:
    return Refused("AllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving "
                   "likelihood of allocation success at http://aka.ms/allocation-guidance", 409)  # fmt: skip


def _zonal(size: Size, zone: str) -> Refused:
    return Refused("ZonalAllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read more about "
                   "improving likelihood of allocation success at http://aka.ms/allocation-guidance", 409)  # fmt: skip


def give_back(book: Book, size_name: str, location: str, zone: str, *, spot: bool) -> None:
    """A machine has ended: its room is free again."""
    size = SIZES[size_name.lower()]
    for key in ([(f"{location}-{zone}", size.name, spot)] if zone else []) + [(location, size.name, spot)]:
        if key in book.capacity:
            book.capacity[key] += 1
            return
