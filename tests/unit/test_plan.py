"""Fingerprints are content: what changes an image changes them, and nothing else does."""

from pathlib import Path

import pytest

from goldbake.config.model import Cloud, Config, Image, Layer, Lock, Pin
from goldbake.errors import MissingError, UsageError
from goldbake.plan import AgentSource, BakePlan, image_named, plan

SCRIPTS = {
    "install-kernel": "echo kernel",
    "install-driver": 'echo "$GOLDBAKE_DRIVER_VERSION"',
    "install-agent": 'echo "$GOLDBAKE_AGENT_VERSION"',
    "install-firstboot": "put usr/firstboot\n[[ -s /x ]] || put_tree usr/lib\n# put usr/share",
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "image-scripts"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "common.sh").write_text("die() { exit 1; }\n")
    for name in ("firstboot", "lib/program.py", "share/other"):
        path = folder / "rootfs" / "usr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")
    for name, text in SCRIPTS.items():
        (folder / f"{name}.sh").write_text(text)
    return folder


def config(driver: str = "535.309.01", agent: str = "4.275.0", **changes: object) -> Config:
    image = {
        "description": "a test",
        "os": "debian-12",
        "clouds": ["local", "aws"],
        "gpus": ["t4"],
        "driver": {"source": "debian", "version": driver, "module": "proprietary"},
        "docker": {"source": "debian", "version": "20.10.24"},
        "toolkit": {"source": "module", "version": "1.19.1"},
        "agent": {"version": agent},
        "layers": [
            {"name": "kernel", "scripts": ["install-kernel"]},
            {"name": "driver", "scripts": ["install-driver"]},
            {"name": "agent", "scripts": ["install-agent"]},
            {"name": "finish", "scripts": ["install-firstboot"]},
        ],
        **changes,
    }
    return Config.model_validate({"images": {"distro": image}})


def planned(scripts: Path, wanted: Config | None = None, lock: Lock | None = None, source: AgentSource = AgentSource.SIMULATED) -> BakePlan:
    return plan(wanted or config(), lock or Lock(pins={}), "distro", Cloud.LOCAL, scripts, source, agent_sha256="a" * 64)


def changed(before: BakePlan, after: BakePlan) -> list[str]:
    return [new.name for old, new in zip(before.layers, after.layers, strict=True) if old.fingerprint != new.fingerprint]


def test_the_same_inputs_have_the_same_fingerprint(scripts: Path) -> None:
    assert planned(scripts) == planned(scripts)


def test_a_new_agent_leaves_kernel_and_driver_alone(scripts: Path) -> None:
    before, after = planned(scripts), planned(scripts, config(agent="4.276.0"))
    assert changed(before, after) == ["agent", "finish"]
    assert before.fingerprint != after.fingerprint


def test_a_new_driver_rebakes_from_the_driver_on(scripts: Path) -> None:
    assert changed(planned(scripts), planned(scripts, config(driver="535.261.03"))) == ["driver", "agent", "finish"]


def test_a_changed_script_rebakes_from_its_layer_on(scripts: Path) -> None:
    before = planned(scripts)
    (scripts / "install-agent.sh").write_text("echo other")
    assert changed(before, planned(scripts)) == ["agent", "finish"]


def test_the_library_is_an_input_of_every_layer(scripts: Path) -> None:
    before = planned(scripts)
    (scripts / "lib" / "common.sh").write_text("die() { exit 2; }\n")
    assert changed(before, planned(scripts)) == ["kernel", "driver", "agent", "finish"]


@pytest.mark.parametrize("installed", ["firstboot", "lib/program.py"])
@pytest.mark.parametrize("how", ["text", "mode", "name"])
def test_a_changed_file_of_rootfs_rebakes_the_layer_that_installs_it(scripts: Path, how: str, installed: str) -> None:
    before, path = planned(scripts), scripts / "rootfs" / "usr" / installed
    if how == "text":
        path.write_text("two")
    elif how == "mode":
        path.chmod(0o755)
    else:
        path.rename(path.with_name("second"))
    assert changed(before, planned(scripts)) == ["finish"]


def test_a_file_of_rootfs_that_no_script_installs_is_no_input(scripts: Path) -> None:
    before = planned(scripts)
    (scripts / "rootfs" / "usr" / "share" / "other").write_text("two")
    assert planned(scripts) == before


def test_a_path_that_only_the_script_knows_makes_all_of_rootfs_an_input(scripts: Path) -> None:
    (scripts / "install-agent.sh").write_text('put "usr/share/$name"')
    before = planned(scripts)
    (scripts / "rootfs" / "usr" / "share" / "other").write_text("two")
    assert changed(before, planned(scripts)) == ["agent", "finish"]


def test_bytecode_beside_rootfs_is_no_input(scripts: Path) -> None:
    before = planned(scripts)
    cache = scripts / "rootfs" / "usr" / "lib" / "__pycache__"
    cache.mkdir()
    (cache / "firstboot.cpython-311.pyc").write_text("x")
    assert planned(scripts) == before


def test_a_larger_disk_is_another_image_from_the_same_layers(scripts: Path) -> None:
    before, after = planned(scripts), planned(scripts, config(disk_gib=64))
    assert changed(before, after) == []
    assert before.fingerprint != after.fingerprint


def test_an_unresolved_agent_stops_the_bake_with_the_pin_command(scripts: Path) -> None:
    todo = planned(scripts, source=AgentSource.MICROSOFT)
    with pytest.raises(MissingError, match=r"agent-4\.275\.0") as caught:
        todo.require_resolved()
    assert "./inv pin agent-4.275.0" in caught.value.hint


def test_a_pinned_agent_lets_the_bake_go_on(scripts: Path) -> None:
    lock = Lock(pins={"agent-4.275.0": Pin(version="4.275.0", url="https://example.org/a.tar.gz", sha256="b" * 64)})
    todo = planned(scripts, lock=lock, source=AgentSource.MICROSOFT)
    todo.require_resolved()
    assert todo.unresolved == ()


def test_a_real_cloud_never_gets_the_simulated_agent(scripts: Path) -> None:
    with pytest.raises(UsageError, match="simulated"):
        plan(config(), Lock(pins={}), "distro", Cloud.AWS, scripts, AgentSource.SIMULATED)


@pytest.mark.parametrize(("name", "cloud", "message"), [("nosuch", Cloud.LOCAL, "nosuch"), ("distro", Cloud.GCP, "is not for gcp")])
def test_a_wrong_name_is_refused_with_the_names_that_exist(name: str, cloud: Cloud, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        image_named(config(), name, cloud)
    assert "distro" in caught.value.hint or "local" in caught.value.hint


def in_aws(scripts: Path, base_image: str = "ami-1", **aws: object) -> BakePlan:
    return in_cloud(scripts, Cloud.AWS, base_image, **aws)


def in_cloud(scripts: Path, cloud: Cloud, base_image: str = "base-1", **settings: object) -> BakePlan:
    wanted = config(**{cloud.value: settings})
    return plan(wanted, Lock(pins={}), "distro", cloud, scripts, AgentSource.MICROSOFT, base_image=base_image)


def test_a_newer_base_image_is_another_image_from_the_first_layer_on(scripts: Path) -> None:
    before, after = in_aws(scripts), in_aws(scripts, "ami-2")
    assert changed(before, after) == ["kernel", "driver", "agent", "finish"]
    assert before.fingerprint != after.fingerprint
    assert after.base_image == "ami-2"


@pytest.mark.parametrize("settings", [{"encrypt": True}, {"region": "eu-west-1"}, {"boot_mode": "uefi"}])
def test_a_setting_that_is_in_the_image_makes_another_one(scripts: Path, settings: dict[str, object]) -> None:
    assert in_aws(scripts).fingerprint != in_aws(scripts, **settings).fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"spot": True},
        {"instance_type": "m7i.large"},
        {"copies": [{"region": "eu-west-1"}]},
        {"share_with": ["111122223333"]},
        {"subnet": ""},
    ],
)
def test_where_it_is_built_and_who_may_use_it_is_not_in_the_image(scripts: Path, settings: dict[str, object]) -> None:
    assert in_aws(scripts).fingerprint == in_aws(scripts, **settings).fingerprint


@pytest.mark.parametrize("settings", [{"project": "agents-417"}, {"storage_location": "eu"}, {"guest_os_features": ["GVNIC"]}])
def test_a_setting_of_google_cloud_that_is_in_the_image_makes_another_one(scripts: Path, settings: dict[str, object]) -> None:
    assert in_cloud(scripts, Cloud.GCP).fingerprint != in_cloud(scripts, Cloud.GCP, **settings).fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "europe-west4", "zones": ["europe-west4-a"]},
        {"machine_type": "n1-standard-8", "accelerator": "nvidia-tesla-t4", "spot": True},
        {"network": "builds", "subnet": "builds-1", "address": "private", "communicator": "iap", "network_tags": ["iap"]},
        {"service_account": "baker@agents-417.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/compute"]},
        {"vtpm": False, "integrity_monitoring": False},
        {"family": "agents", "labels": {"team": "render"}, "share_with": ["domain:example.org"], "deprecate_older": False},
    ],
)
def test_where_google_cloud_builds_it_and_who_may_use_it_is_not_in_the_image(scripts: Path, settings: dict[str, object]) -> None:
    assert in_cloud(scripts, Cloud.GCP).fingerprint == in_cloud(scripts, Cloud.GCP, **settings).fingerprint


def test_an_image_for_secure_boot_signs_around_the_driver(scripts: Path) -> None:
    described = config(clouds=["gcp"])
    layers = (Layer(name="driver", scripts=("disable-nouveau", "install-driver", "hold-packages")),)
    before = described.images["distro"].model_copy(update={"layers": layers})
    after = before.model_copy(update={"secure_boot": True})

    def planned_as(image: Image) -> BakePlan:
        images = described.model_copy(update={"images": {"distro": image}})
        return plan(images, Lock(pins={}), "distro", Cloud.GCP, scripts, AgentSource.MICROSOFT)

    assert planned_as(before).layers[0].scripts == layers[0].scripts
    assert planned_as(after).layers[0].scripts == (
        "disable-nouveau", "make-signing-key", "install-driver", "remove-signing-key", "hold-packages",
    )  # fmt: skip
    assert (planned_as(before).signs, planned_as(after).signs) == (False, True)
    assert planned_as(before).fingerprint != planned_as(after).fingerprint


def test_settings_of_a_cloud_do_not_change_the_image_of_this_machine(scripts: Path) -> None:
    assert planned(scripts).fingerprint == planned(scripts, config(aws={"region": "eu-west-1"}, gcp={"region": "us-west1"})).fingerprint


def test_the_script_that_writes_the_manifest_is_an_input_of_clouds_only(scripts: Path) -> None:
    before, here = in_aws(scripts), planned(scripts)
    (scripts / "write-manifest.sh").write_text("echo other")
    assert in_aws(scripts).fingerprint != before.fingerprint
    assert planned(scripts).fingerprint == here.fingerprint
