"""200 instances of Compute Engine without an account: our launch by one bulkInsert against the same calls in a bare script, and a reap of a project."""

from __future__ import annotations

import json
from collections.abc import Mapping

from google.cloud import compute_v1

from goldbake.bench import gcp_replay, many
from goldbake.bench.many import Bench
from goldbake.clouds.gcp.operations import finished
from goldbake.clouds.gcp.session import Gcp
from goldbake.config import base_images
from goldbake.config.model import Cloud, Os
from goldbake.log import Progress
from goldbake.paths import Paths
from launch.base import CloudOptions

REGION = "us-central1"
TYPE = "g2-standard-4"
MACHINES = 250
"""Instances in each region before the reap: with the disks, which go with them, they are 500 resources; and a firewall rule for all."""
_ENVIRONMENT = ("GOOGLE_", "CLOUDSDK_", "GCE_", "GCLOUD_", "NO_GCE_CHECK")
_PATIENCE_S = 600.0


def measure(paths: Paths, progress: Progress, count: int = 200, rounds: int = 3, machines: int = MACHINES) -> dict[str, float]:
    """Seconds, ratios and memory: see `many.measure`."""
    return many.measure(bench(), paths, progress, count, rounds, machines)


def bench() -> Bench:
    """What is Google's own."""
    options = CloudOptions(types=(TYPE,), regions=(REGION,))
    return Bench(Cloud.GCP, "tests.fakes.gcp", _ENVIRONMENT, options, lambda: (_image(), "global"), gcp_replay.run, _fill)


def _image() -> str:
    base = base_images.GCP[Os.DEBIAN_12]
    found = Gcp().client(compute_v1.ImagesClient).get_from_family(project=base.project, family=base.family)
    return f"projects/{base.project}/global/images/{found.name}"


def _fill(tags: Mapping[str, str], machines: int) -> int:
    gcp = Gcp()
    regions = [one.name for one in gcp.client(compute_v1.RegionsClient).list(project=gcp.project)]
    image, launch = _image(), next(value for key, value in tags.items() if key == "goldbake-launch")
    for region in regions:
        disk = compute_v1.AttachedDiskInitializeParams(source_image=image, labels=dict(tags))
        properties = compute_v1.InstanceProperties(
            machine_type="e2-small",
            labels=dict(tags),
            disks=[compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=disk)],
            network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
        )
        body = compute_v1.BulkInsertInstanceResource(count=machines, name_pattern=f"left-{region}-####", instance_properties=properties)
        request = {"project": gcp.project, "region": region, "bulk_insert_instance_resource_resource": body}
        begun = gcp.client(compute_v1.RegionInstancesClient).bulk_insert_unary(request=request)
        finished(gcp, begun, doing=f"fill {region}", patience=_PATIENCE_S)
    rule = compute_v1.Firewall(
        name=f"goldbake-{launch}-ssh",
        description=json.dumps(dict(tags)),
        source_ranges=["203.0.113.7/32"],
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
    )
    begun = gcp.client(compute_v1.FirewallsClient).insert_unary(project=gcp.project, firewall_resource=rule)
    finished(gcp, begun, doing="make a firewall rule", patience=_PATIENCE_S)
    return len(regions)
