"""The rows of doctor about Google Cloud."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from goldbake import host, proc
from goldbake.clouds.gcp import examine as examining
from goldbake.clouds.gcp import role
from goldbake.clouds.gcp.examine import APIS, Bake, examine
from goldbake.clouds.gcp.networks import IAP_RANGE, Network
from goldbake.clouds.gcp.session import KEY_FILE, NO_CREDENTIALS, NO_PROJECT, PROJECTS, Gcp
from goldbake.config.model import Cloud, Os
from goldbake.errors import Exit
from goldbake.finding import Finding
from goldbake.paths import Paths
from tests.fakes.gcp import NEWEST_DEBIAN, PROJECT, FakeGcp
from tests.servers import closed_port
from tests.unit.clouds.doctor import ends, failing, only

HOME, ABROAD = "us-central1", "europe-west4"
BAKE = Bake(HOME, "n2-standard-4", Os.DEBIAN_12)
T4 = "n1-standard-4+nvidia-tesla-t4"


def _look(
    gcp: Gcp | None,
    regions: Sequence[str] = (HOME,),
    types: Sequence[str] = ("g2-standard-4",),
    *,
    bakes: Sequence[Bake] = (),
    strict: bool = False,
) -> list[Finding]:
    return examine(regions, types, bakes=bakes, strict=strict, gcp=gcp)


def _quotas(fake: FakeGcp, **values: float) -> None:
    """Limits by metric: of the project when its name says so, else of every region."""
    fake.book.quotas |= {("", metric): value for metric, value in values.items()}


def test_all_is_well_and_nothing_was_changed(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    rows = _look(gcp, bakes=[BAKE])
    assert [row for row in rows if not row.good] == []
    assert only(rows, "Google credentials").state == f"service account goldbake@{PROJECT}.iam.gserviceaccount.com, project {PROJECT}"
    assert only(rows, "billing").state.startswith("billingAccounts/")
    assert only(rows, "permissions").state.startswith(f"{len(role.permissions(['bake', 'launch', 'destroy', 'doctor']))} of ")
    assert only(rows, "base image").state == f"debian-12: {NEWEST_DEBIAN.id.split('/')[1]}/{NEWEST_DEBIAN.id.rpartition('/')[2]}"
    assert {row.what for row in rows if row.what.startswith("API")} == {f"API {name}" for name in APIS}
    assert any(row.state.startswith("g2-standard-4: us-central1-a") for row in rows if row.what == f"type {HOME}")
    assert [row.state.partition(":")[0] for row in rows if row.what == "quota global"] == ["GPUS_ALL_REGIONS", "CPUS_ALL_REGIONS"]
    assert {row.state.partition(":")[0] for row in rows if row.what == f"quota {HOME}"} == {
        "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS", "N2_CPUS",
    }  # fmt: skip
    assert only(rows, f"network {HOME}").state.startswith("default 10.")
    assert only(rows, "SSH to bakes in default").good
    assert fake_gcp.actions() == []
    host.require_fit(rows)


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_gpus_of_the_whole_project_are_explained(fake_gcp: FakeGcp, gcp: Gcp, limit: float) -> None:
    _quotas(fake_gcp, GPUS_ALL_REGIONS=limit)
    row = only(_look(gcp), "quota global")
    assert row.good is (limit == 1.0)
    assert row.state.startswith(f"GPUS_ALL_REGIONS: {limit:g} (0 in use)")
    if not limit:
        assert "which Google sets to 0 in a new project" in row.state
        assert "every GPU counts against this one and against its region's" in row.state
        assert f"https://console.cloud.google.com/iam-admin/quotas?project={PROJECT}" in row.fix
        assert "--quota-id=GPUS-ALL-REGIONS-per-project --preferred-value=1" in row.fix
        assert ends(_look(gcp)) == (Exit.MISSING, row.fix)


def test_gpus_of_a_region_are_looked_at_on_demand_and_spot(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas |= {(HOME, "NVIDIA_L4_GPUS"): 0.0, (HOME, "PREEMPTIBLE_NVIDIA_L4_GPUS"): 0.0}
    rows = [row for row in _look(gcp) if row.what == f"quota {HOME}"]
    assert [(row.state.partition(":")[0], row.good, row.required) for row in rows] == [
        ("NVIDIA_L4_GPUS", False, True),
        ("PREEMPTIBLE_NVIDIA_L4_GPUS", False, False),
    ]
    assert f"--quota-id=NVIDIA-L4-GPUS-per-project-region --dimensions=region={HOME} --preferred-value=1" in rows[0].fix


def test_one_gpu_with_a_quota_is_enough_unless_types_were_named(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 0.0
    both = ["g2-standard-4", T4]
    assert failing(_look(gcp, types=both)) == []
    assert [row.state.partition(":")[0] for row in failing(_look(gcp, types=both, strict=True))] == ["NVIDIA_L4_GPUS"]


def test_several_gpus_of_one_machine_are_counted(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 3.0
    row = next(row for row in _look(gcp, types=["g2-standard-48"]) if row.state.startswith("NVIDIA_L4_GPUS"))
    assert row.state == "NVIDIA_L4_GPUS: 3 (0 in use); g2-standard-48 needs 4"
    assert "--preferred-value=4" in row.fix


def test_vcpus_of_a_bake_are_looked_at(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas |= {("", "CPUS_ALL_REGIONS"): 2.0, (HOME, "N2_CPUS"): 2.0}
    bad = failing(_look(gcp, bakes=[BAKE]))
    assert [row.state for row in bad] == [
        "CPUS_ALL_REGIONS: 2 (0 in use); a bake needs 4",
        "N2_CPUS: 2 (0 in use); n2-standard-4 needs 4",
    ]
    assert "--quota-id=N2-CPUS-per-project-region" in bad[1].fix


def test_a_quota_that_running_agents_use_up_is_told_and_is_no_fault(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 1.0
    fake_gcp.book.usage[HOME, "NVIDIA_L4_GPUS"] = 1.0
    row = next(row for row in _look(gcp) if row.state.startswith("NVIDIA_L4_GPUS: 1 (1 in use)"))
    assert (row.good, row.required) == (False, False)
    assert "--preferred-value=2" in row.fix


def test_a_quota_that_compute_engine_does_not_show_is_left_to_the_console(gcp: Gcp) -> None:
    row = next(row for row in _look(gcp, types=["a3-highgpu-8g"]) if "GPU_FAMILY:NVIDIA_H100" in row.state)
    assert (row.good, row.required) == (False, False)
    assert "console.cloud.google.com/iam-admin/quotas" in row.fix


@pytest.mark.parametrize("name", sorted(APIS))
def test_each_api_that_is_off_has_its_command(fake_gcp: FakeGcp, gcp: Gcp, name: str) -> None:
    fake_gcp.book.enabled.discard(name)
    rows = _look(gcp)
    command = f"gcloud services enable {name} --project"
    (found, *_) = [row for row in rows if command in row.fix]
    assert found.required or name != "compute.googleapis.com"
    if name == "compute.googleapis.com":
        assert ends(rows)[0] is Exit.MISSING
        assert command in ends(rows)[1]


def test_a_project_without_billing_is_told_with_the_command(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.billing = False
    rows = _look(gcp)
    code, hint = ends(rows)
    assert code is Exit.MISSING
    assert f"gcloud billing projects link {PROJECT} --billing-account" in hint or "billing" in hint
    assert f"gcloud billing projects link {PROJECT}" in only(rows, "billing").fix


@pytest.mark.parametrize("permission", ["compute.instances.create", "compute.images.deprecate", "compute.disks.delete"])
def test_each_missing_permission_has_a_row_with_what_needs_it(fake_gcp: FakeGcp, gcp: Gcp, permission: str) -> None:
    fake_gcp.book.forbidden.add(permission)
    rows = _look(gcp)
    row = only(rows, f"permission {permission}")
    assert (
        row.state
        == f"missing, and needed by {', '.join(one for one in role.purposes_of(permission) if one in ('bake', 'launch', 'destroy'))}"
    )
    assert "gcloud iam roles create goldbake" in row.fix
    assert f"--member serviceAccount:{gcp.credentials.service_account_email} " in row.fix
    assert ends(rows) == (Exit.MISSING, row.fix)


def test_a_look_that_is_refused_is_one_row_and_the_others_are_there(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.refuse("forbidden", "cloudresourcemanager.v3.projects.testIamPermissions", times=None)
    rows = _look(gcp, bakes=[BAKE])
    assert not only(rows, "permissions").good
    assert only(rows, "base image").good
    assert only(rows, f"network {HOME}").good


def test_a_zone_without_the_gpu_is_left_out_and_a_region_without_it_is_told(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    there = next(row.state for row in _look(gcp, types=[T4]) if row.what == f"type {HOME}").partition(": ")[2].split(", ")
    assert len(there) > 1
    fake_gcp.book.withheld.add((there[0], "nvidia-tesla-t4"))
    assert only(_look(gcp, types=[T4]), f"type {HOME}").state == f"{T4}: {', '.join(there[1:])}"
    fake_gcp.book.withheld |= {(zone, "nvidia-tesla-t4") for zone in there}
    row = only(_look(gcp, types=[T4]), f"type {HOME}")
    assert row.state == f"{T4}: in no zone"
    assert "gcloud compute accelerator-types list" in row.fix
    assert row in failing(_look(gcp, types=[T4]))


def test_a_region_that_there_is_not_is_told_with_those_near_it(gcp: Gcp) -> None:
    rows = _look(gcp, regions=[HOME, "us-nowhere9"])
    row = only(rows, "region us-nowhere9")
    assert row.state == "does not exist"
    assert row.fix.startswith(f"one of {HOME}, us-east1")
    assert ABROAD not in row.fix
    assert ends(rows)[0] is Exit.MISSING
    assert [one for one in rows if "us-nowhere9" in one.what] == [row]
    assert ABROAD in only(_look(gcp, regions=["mars-east1"]), "region mars-east1").fix


def test_regions_that_may_not_be_listed_are_looked_at_all_the_same(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.forbid("compute.regions.list")
    rows = _look(gcp)
    assert not only(rows, "regions").good
    assert only(rows, f"network {HOME}").good


def test_several_regions_are_each_looked_at(gcp: Gcp) -> None:
    rows = _look(gcp, regions=[HOME, ABROAD])
    assert {f"network {HOME}", f"network {ABROAD}", f"type {HOME}", f"type {ABROAD}"} <= {row.what for row in rows}


def test_types_of_a_launch_count_where_it_goes_and_not_where_bakes_are_made(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[HOME, "NVIDIA_L4_GPUS"] = 0.0
    rows = _look(gcp, regions=[ABROAD], bakes=[BAKE], strict=True)
    assert failing(rows) == []
    told = {(row.what, row.state.partition(":")[0]) for row in rows if row.what in (f"type {HOME}", f"type {ABROAD}", f"quota {HOME}")}
    assert told == {(f"type {HOME}", "n2-standard-4"), (f"type {ABROAD}", "g2-standard-4"), (f"quota {HOME}", "N2_CPUS")}


def test_a_bake_on_spot_alone_in_its_region_needs_no_quota_on_demand(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.quotas[HOME, "NVIDIA_T4_GPUS"] = 0.0
    rows = _look(gcp, regions=[ABROAD], bakes=[Bake(HOME, T4, Os.DEBIAN_12, spot=True)])
    assert [row.state.partition(":")[0] for row in rows if not row.good] == ["NVIDIA_T4_GPUS"]
    assert failing(rows) == []


def test_a_network_without_a_subnet_here_is_told_with_what_there_is(gcp: Gcp) -> None:
    row = only(_look(gcp, bakes=[Bake(HOME, "n2-standard-4", Os.DEBIAN_12, network=Network(subnet="builds"))]), f"network {HOME}")
    assert "no subnet builds here (there is: default)" in row.state
    assert "gcp.subnet" in row.fix


def test_no_way_in_for_ssh_is_told_with_a_rule(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.book.tables["firewalls"].clear()
    row = only(_look(gcp, bakes=[BAKE]), "SSH to bakes in default")
    assert (row.good, row.required) == (False, True)
    assert "gcloud compute firewall-rules create" in row.fix
    assert "0.0.0.0/0" not in row.fix
    assert not any(found.what.startswith("SSH") for found in _look(gcp))


@pytest.mark.parametrize("private", [False, True])
def test_a_rule_for_inside_lets_only_machines_without_an_address_be_reached(fake_gcp: FakeGcp, gcp: Gcp, private: bool) -> None:
    rules = fake_gcp.book.tables["firewalls"]
    for path in [path for path in rules if not path.endswith("default-allow-internal")]:
        del rules[path]
    bake = Bake(HOME, "n2-standard-4", Os.DEBIAN_12, network=Network(private=private))
    assert only(_look(gcp, bakes=[bake]), "SSH to bakes in default").good is private


@pytest.mark.parametrize(
    ("source", "fits"), [("0.0.0.0/0", True), ("::/0", True), ("203.0.113.7/32", True), ("192.168.7.0/24", False), (IAP_RANGE, False)]
)
def test_which_rules_let_a_machine_outside_in(fake_gcp: FakeGcp, gcp: Gcp, source: str, fits: bool) -> None:
    rules = fake_gcp.book.tables["firewalls"]
    for path in [path for path in rules if not path.endswith("default-allow-ssh")]:
        del rules[path]
    (rule,) = rules.values()
    rule["sourceRanges"] = [source]
    assert only(_look(gcp, bakes=[BAKE]), "SSH to bakes in default").good is fits


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]}, True),
        ({"sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "tcp", "ports": ["20-30"]}]}, True),
        ({"sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "all"}]}, True),
        ({"sourceRanges": ["10.0.0.0/8"], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]}, False),
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}, False),
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "udp", "ports": ["22"]}]}, False),
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "tcp"}], "disabled": True}, False),
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "tcp"}], "targetTags": ["web"]}, False),
        ({"sourceRanges": [IAP_RANGE], "allowed": [{"IPProtocol": "tcp"}], "targetTags": ["web", "bake"]}, True),
    ],
)
def test_which_rules_let_identity_aware_proxy_in(
    fake_gcp: FakeGcp, gcp: Gcp, monkeypatch: pytest.MonkeyPatch, rule: dict[str, object], fits: bool
) -> None:
    monkeypatch.setattr(proc, "find", lambda name: Path("/usr/bin") / name)
    fake_gcp.book.tables["firewalls"].clear()
    path = f"projects/{PROJECT}/global/firewalls/one"
    network = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/default"
    fake_gcp.book.tables["firewalls"][path] = {
        "kind": "compute#firewall", "name": "one", "network": network, "direction": "INGRESS", **rule,
    }  # fmt: skip
    with_iap = Bake(HOME, "n2-standard-4", Os.DEBIAN_12, network=Network(tags=("bake",), iap=True, private=True))
    row = only(_look(gcp, bakes=[with_iap]), "SSH to bakes in default")
    assert row.good is fits
    if not fits:
        assert f"--source-ranges {IAP_RANGE} --target-tags bake" in row.fix


def test_iap_needs_gcloud_its_api_and_its_permission(fake_gcp: FakeGcp, gcp: Gcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "find", lambda name: None)
    fake_gcp.book.enabled.discard("iap.googleapis.com")
    fake_gcp.book.forbidden.add("iap.tunnelInstances.accessViaIAP")
    bad = {row.what for row in failing(_look(gcp, bakes=[Bake(HOME, "n2-standard-4", Os.DEBIAN_12, network=Network(iap=True))]))}
    assert {"gcloud", "API iap.googleapis.com", "permission iap.tunnelInstances.accessViaIAP"} <= bad


def test_machines_without_an_address_need_cloud_nat(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    private = Bake(HOME, "n2-standard-4", Os.DEBIAN_12, network=Network(private=True))
    assert only(_look(gcp, bakes=[private]), f"way out {HOME}").good
    fake_gcp.book.tables["routers"].clear()
    row = only(_look(gcp, bakes=[private]), f"way out {HOME}")
    assert (row.good, row.required) == (False, True)
    assert "gcloud compute routers nats create" in row.fix
    assert only(_look(gcp), f"way out {HOME}").required is False


def test_a_base_image_that_is_gone_is_told(fake_gcp: FakeGcp, gcp: Gcp) -> None:
    fake_gcp.refuse("notFound", "compute.images.getFromFamily", times=None)
    row = only(_look(gcp, bakes=[BAKE]), "base image")
    assert row in failing([row])
    assert "debian-12" in row.state


def test_no_credentials_are_one_row_with_the_ways_to_some(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_FILE)
    (row,) = _look(None)
    assert (row.what, row.fix) == ("Google credentials", NO_CREDENTIALS)
    assert ends([row])[0] is Exit.MISSING


def test_no_project_is_one_row_unless_the_bakes_name_one(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROJECTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", fake_gcp.environment(token=True)["CLOUDSDK_AUTH_ACCESS_TOKEN"])
    (row,) = _look(None)
    assert (row.what, row.fix) == ("Google project", NO_PROJECT)
    rows = _look(None, bakes=[Bake(HOME, "n2-standard-4", Os.DEBIAN_12, project=PROJECT)])
    assert only(rows, "Google project").required is False
    assert only(rows, "Google credentials").state == f"the token of CLOUDSDK_AUTH_ACCESS_TOKEN, project {PROJECT}"
    assert failing(rows) == []


def test_a_token_that_is_over_says_so(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "ya29.long-ago")
    rows = _look(None)
    assert ends(rows)[0] is Exit.MISSING
    assert "CLOUDSDK_AUTH_ACCESS_TOKEN" in only(rows, "Compute Engine").state
    assert "ya29.long-ago" not in str(rows)


def test_a_project_of_somebody_else_is_told(fake_gcp: FakeGcp) -> None:
    rows = _look(Gcp("not-mine-at-all"))
    assert ends(rows)[0] is Exit.MISSING
    assert not only(rows, "Compute Engine").good


def test_google_that_is_not_reached_is_told_at_once(fake_gcp: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{closed_port()}/compute/v1/")
    rows = _look(None)
    assert not only(rows, "Compute Engine").good
    assert "HTTPS_PROXY" in only(rows, "Compute Engine").fix
    assert fake_gcp.calls == []


def test_the_images_of_this_project_are_examined_with_their_regions_and_gpus(
    gcp: Gcp, paths_of_project: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], list[str], set[Os], bool]] = []

    def noted(regions: list[str], types: list[str], *, bakes: list[Bake], strict: bool) -> list[Finding]:
        asked.append((regions, types, {bake.os for bake in bakes}, strict))
        return examine(regions, types, bakes=bakes, strict=strict, gcp=gcp)

    monkeypatch.setattr(examining, "examine", noted)
    rows = host.examine(paths_of_project, (Cloud.GCP,))
    assert {"ssh", "Google credentials", "permissions", f"network {HOME}", "Azure DevOps"} <= {row.what for row in rows}
    assert "mmdebstrap" not in {row.what for row in rows}
    host.examine(paths_of_project, (Cloud.GCP,), regions=[ABROAD], types=["a2-highgpu-1g"])
    assert asked[0][0] == [HOME]
    assert asked[0][1][0] == T4
    assert asked[0][2:] == ({Os.UBUNTU_2404, Os.DEBIAN_12}, False)
    assert asked[1][0] == [ABROAD]
    assert asked[1][1] == ["a2-highgpu-1g"]
    assert asked[1][3] is True
