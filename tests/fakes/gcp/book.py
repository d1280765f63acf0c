"""What one fake holds and remembers, and what a test may set."""

from __future__ import annotations

import base64
import hashlib
import heapq
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes import book
from tests.fakes.gcp import seeds
from tests.fakes.gcp.calls import Faults
from tests.fakes.gcp.seeds import NUMBER, PROJECT, SEEDS, Seed

ROOT = "https://www.googleapis.com/compute/v1/"
SERVICES = ("compute.googleapis.com", "cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com", "cloudbilling.googleapis.com",
            "iam.googleapis.com", "iap.googleapis.com", "oslogin.googleapis.com")  # fmt: skip
TABLES = ("instances", "disks", "images", "firewalls", "networks", "subnetworks", "routers", "addresses", "snapshots")

Document = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """What happened to an instance: `started`, `stopped`, `deleted`, `reset`, `metadata`; `imaged`: `image` (a path) was made of `disk`."""

    what: str
    zone: str
    instance: str
    image: str = ""
    disk: str = ""


class Clock:
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Operation:
    """A change that is on its way."""

    document: Document
    due: float
    """When it is done, in seconds of the clock."""
    done: bool = False


@dataclass
class Machine:
    """What is known of an instance besides its document."""

    unseen: int = 0
    """No listing has it for so many more of them."""
    started: int = 0
    """How often it was started: an end that was meant for an earlier time does not count."""


@dataclass
class Book(book.Book[Event]):
    """Settings and memory of the fake."""

    project: str = PROJECT
    number: str = NUMBER
    seeds: tuple[Seed, ...] = SEEDS
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    page: int = 500
    """Items in one answer of a listing, where the caller does not ask for fewer."""
    lag: int = 0
    """A new instance is in no listing for so many listings."""
    operation_s: float = 0.0
    """How long an operation takes; its effect comes at the end of it."""
    wait_s: float = 120.0
    """The longest that a `wait` waits: then it answers with an operation that is not done."""
    capacity: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    """(zone, type, spot) → instances that can still be started there; what is not in it has no end."""
    foresight: bool = False
    """bulkInsert sees that there is less than `minCount` before it begins, and refuses the call; else its operation fails. Both happen:
    https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-bulk-vm-creation.
    """
    withheld: set[tuple[str, str]] = field(default_factory=set)
    """(zone, machine type or accelerator) that are not offered."""
    unreachable: set[str] = field(default_factory=set)
    """Zones whose resources no aggregated listing can tell."""
    quotas: dict[tuple[str, str], float] = field(default_factory=dict)
    """(region, metric) → limit; `""` as region is the project's own quota, and as default that of every region. Of newer GPUs the metric is as
    GPUS_PER_GPU_FAMILY:NVIDIA_H100.
    """
    policies: set[str] = field(default_factory=set)
    """Constraints of the organization that are enforced, as compute.vmExternalIpAccess."""
    forbidden: set[str] = field(default_factory=set)
    """Permissions that the caller lacks."""
    granted: frozenset[str] | None = None
    """All permissions that the caller has, but for `forbidden`; None: every one."""
    enabled: set[str] = field(default_factory=lambda: set(SERVICES))
    """APIs that are on."""
    billing: bool = True
    accounts: set[str] = field(default_factory=set)
    """Service accounts besides Compute Engine's default one."""
    projects: dict[str, str] = field(default_factory=dict)
    """Other projects that there are, with their numbers."""

    tables: dict[str, dict[str, Document]] = field(default_factory=lambda: {name: {} for name in TABLES})
    """Kind → path (`projects/P/zones/Z/instances/N`) → the resource, as GET answers it."""
    furnished: set[str] = field(default_factory=set)
    """Paths of what every project has from the beginning."""
    gone: list[tuple[str, Document]] = field(default_factory=list)
    """The instances that were deleted."""
    machines: dict[str, Machine] = field(default_factory=dict)
    usage: dict[tuple[str, str], float] = field(default_factory=dict)
    """(region or empty, metric) → what the instances take that are not stopped."""
    operations: dict[str, Operation] = field(default_factory=dict)
    iam: dict[str, Document] = field(default_factory=dict)
    """Path of an image → its policy."""
    common_metadata: Document = field(default_factory=lambda: {"kind": "compute#metadata", "items": []})
    requests: dict[str, tuple[str, str]] = field(default_factory=dict)
    """requestId → (what was asked, the path of the operation)."""
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    """(when, number, what) that comes by itself."""
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.furnish()

    def _fresh(self) -> Book:
        return Book(self.project, self.number, self.seeds)

    def furnish(self) -> None:
        """The default network with a subnet and a NAT in every region, its rules, and the public images."""
        network = f"projects/{self.project}/global/networks/default"
        subnets = {region: f"projects/{self.project}/regions/{region}/subnetworks/default" for region in seeds.REGIONS}
        made = {"id": self.new_id(), "creationTimestamp": self.stamp(0)}
        self.tables["networks"][network] = {
            "kind": "compute#network", **made, "name": "default", "selfLink": ROOT + network, "autoCreateSubnetworks": True, "mtu": 1460,
            "description": "Default network for the project", "subnetworks": [ROOT + path for path in subnets.values()],
            "routingConfig": {"routingMode": "REGIONAL"}, "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        }  # fmt: skip
        for number, (region, path) in enumerate(subnets.items()):
            self.tables["subnetworks"][path] = {
                "kind": "compute#subnetwork", "id": self.new_id(), "creationTimestamp": self.stamp(0), "name": "default",
                "network": ROOT + network, "ipCidrRange": f"10.{128 + 2 * number}.0.0/20", "gatewayAddress": f"10.{128 + 2 * number}.0.1",
                "region": f"{ROOT}projects/{self.project}/regions/{region}", "selfLink": ROOT + path, "privateIpGoogleAccess": False,
                "fingerprint": self.fingerprint(path), "purpose": "PRIVATE", "stackType": "IPV4_ONLY",
            }  # fmt: skip
            self.add_nat(region)
        for name, ports in (("ssh", ["22"]), ("internal", [])):
            path = f"projects/{self.project}/global/firewalls/default-allow-{name}"
            allowed = [{"IPProtocol": "tcp", "ports": ports}] if ports else [{"IPProtocol": "all"}]
            self.tables["firewalls"][path] = {
                "kind": "compute#firewall", "id": self.new_id(), "creationTimestamp": self.stamp(0), "name": f"default-allow-{name}",
                "description": f"Allow {name} from anywhere" if ports else "Allow internal traffic on the default network",
                "network": ROOT + network, "priority": 65534, "sourceRanges": ["0.0.0.0/0" if ports else "10.128.0.0/9"], "allowed": allowed,
                "direction": "INGRESS", "logConfig": {"enable": False}, "disabled": False, "selfLink": ROOT + path,
            }  # fmt: skip
        for seed in self.seeds:
            self.tables["images"][seed.id] = self._image(seed)
        self.furnished = {path for rows in self.tables.values() for path in rows}

    def add_nat(self, region: str) -> None:
        """A router that leads instances without a public address out, for all subnets of the default network in this region."""
        path = f"projects/{self.project}/regions/{region}/routers/nat"
        self.tables["routers"][path] = {
            "kind": "compute#router", "id": self.new_id(), "creationTimestamp": self.stamp(0), "name": "nat", "selfLink": ROOT + path,
            "network": f"{ROOT}projects/{self.project}/global/networks/default", "region": f"{ROOT}projects/{self.project}/regions/{region}",
            "encryptedInterconnectRouter": False,
            "nats": [{
                "name": "nat", "natIpAllocateOption": "AUTO_ONLY", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "enableEndpointIndependentMapping": False, "endpointTypes": ["ENDPOINT_TYPE_VM"], "type": "PUBLIC",
            }],
        }  # fmt: skip

    def _image(self, seed: Seed) -> Document:
        found: Document = {
            "kind": "compute#image", "id": self.new_id(), "creationTimestamp": seed.created, "name": seed.name, "family": seed.family,
            "description": f"{seed.family}, {seed.architecture}", "sourceType": "RAW", "status": "READY", "archiveSizeBytes": "1207959552",
            "diskSizeGb": str(seed.size_gb), "selfLink": ROOT + seed.id, "architecture": seed.architecture, "labelFingerprint": self.fingerprint({}),
            "guestOsFeatures": [{"type": feature} for feature in seed.features], "storageLocations": ["asia", "eu", "us"],
            "licenses": [f"{ROOT}projects/{seed.project}/global/licenses/{seed.family}"], "licenseCodes": ["2147286739765738111"],
            "rawDisk": {"source": "", "containerType": "TAR"}, "satisfiesPzi": True,
        }  # fmt: skip
        if seed.deprecated:
            newest = next(one for one in self.seeds if one.family == seed.family and not one.deprecated)
            found["deprecated"] = {"state": seed.deprecated, "replacement": ROOT + newest.id}
        return found

    # --- small things that every resource needs

    @property
    def default_account(self) -> str:
        """Compute Engine's default service account."""
        return f"{self.number}-compute@developer.gserviceaccount.com"

    def new_id(self) -> str:
        return str(random.randrange(10**18, 9 * 10**18))

    def stamp(self, when: float | None = None) -> str:
        """A time as Compute Engine writes it; None: now."""
        moment = datetime.fromtimestamp(self.clock.now() if when is None else when, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}-00:00"

    @staticmethod
    def fingerprint(value: Any) -> str:
        """Another value has another one."""
        return base64.urlsafe_b64encode(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8]).decode()

    # --- time

    def later(self, when: float, what: Callable[[], None]) -> None:
        """Do this at that time of the clock."""
        heapq.heappush(self.agenda, (when, next(self.numbers), what))

    def pass_time(self) -> None:
        """Do what is due."""
        with self.lock:
            while self.agenda and self.agenda[0][0] <= self.clock.now():
                heapq.heappop(self.agenda)[2]()

    def may(self, permission: str) -> bool:
        """Whether the caller has a permission."""
        return permission not in self.forbidden and (self.granted is None or permission in self.granted)

    def limit(self, region: str, metric: str) -> float:
        """A quota's limit; `region` is empty for the project's own."""
        found = self.quotas.get((region, metric))
        if found is None and region:
            found = self.quotas.get(("", metric))
        return DEFAULT_QUOTAS.get(metric, 64.0) if found is None else found


DEFAULT_QUOTAS: Mapping[str, float] = {
    "GPUS_ALL_REGIONS": 256.0, "CPUS_ALL_REGIONS": 10000.0, "NETWORKS": 5.0, "SUBNETWORKS": 175.0, "FIREWALLS": 100.0, "ROUTERS": 10.0,
    "IMAGES": 2000.0, "SNAPSHOTS": 5000.0, "INSTANCE_TEMPLATES": 100.0, "IN_USE_ADDRESSES": 1000.0, "STATIC_ADDRESSES": 8.0,
    "CPUS": 2400.0, "N2_CPUS": 2400.0, "A2_CPUS": 1000.0, "PREEMPTIBLE_CPUS": 2400.0, "DISKS_TOTAL_GB": 204800.0, "SSD_TOTAL_GB": 40960.0,
    "LOCAL_SSD_TOTAL_GB": 40960.0, "INSTANCES": 6000.0, "NVIDIA_L4_GPUS": 256.0, "NVIDIA_T4_GPUS": 256.0, "PREEMPTIBLE_NVIDIA_L4_GPUS": 256.0,
    "PREEMPTIBLE_NVIDIA_T4_GPUS": 256.0,
}  # fmt: skip
"""What a project of some size has, unless a test says otherwise; a new one has 0 of GPUS_ALL_REGIONS."""
