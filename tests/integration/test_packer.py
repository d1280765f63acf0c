"""The real Packer accepts what is rendered, and reads every value as it was meant.

Packer is the one that `PACKER` names, else goldbake's own in its cache, fetched or built on the first run; plugins are kept there, too.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from goldbake import hcl, proc, toolchain
from goldbake.config.aws import AwsSettings
from goldbake.config.gcp import GcpSettings
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud
from goldbake.errors import GoldbakeError, MissingError
from goldbake.log import Progress
from goldbake.packer import Packer
from goldbake.paths import PROJECT, Paths
from goldbake.plan import AgentSource, plan
from goldbake.render import write
from goldbake.samples import samples
from goldbake.templates import validate_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CONFIG = load_config(PROJECT / "images.yaml", PROJECT / "image-scripts")
LOCK = load_lock(PROJECT / "images.lock.yaml")
ALL = [(name, cloud) for name, image in CONFIG.images.items() for cloud in image.clouds]


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """The real cache, and a checkout whose packer/build is not the real one."""
    project = tmp_path_factory.mktemp("checkout")
    (project / "packer").mkdir()
    for name in ("images.yaml", "images.lock.yaml", "image-scripts", "packer/templates", "packer/tools"):
        (project / name).symlink_to(PROJECT / name)
    return replace(Paths.from_environment(), project=project)


@pytest.fixture(scope="session")
def packer(paths: Paths) -> Packer:
    return toolchain.packer(LOCK, paths, Progress())


def rendered(paths: Paths, name: str, cloud: Cloud) -> Path:
    return write(plan(CONFIG, LOCK, name, cloud, paths.scripts, AgentSource.MICROSOFT), paths)


def require_plugin(cloud: Cloud, packer: Packer, paths: Paths) -> None:
    """Azure's plugin has no module that builds here; where its release cannot be reached the test is skipped. The others must be had."""
    try:
        toolchain.ensure_plugin(cloud, packer, LOCK, paths, Progress())
    except MissingError as error:
        if cloud is not Cloud.AZURE:
            raise
        pytest.skip(error.message)


def test_packer_is_the_pinned_one(packer: Packer) -> None:
    assert packer.version() == LOCK.pins[f"packer-{toolchain.host_platform()}"].version


@pytest.mark.parametrize(("name", "cloud"), ALL)
def test_packer_formats_what_is_rendered_in_no_other_way(packer: Packer, paths: Paths, name: str, cloud: Cloud) -> None:
    assert packer.fmt_check(rendered(paths, name, cloud)) == ""


@pytest.mark.parametrize(("name", "cloud"), ALL)
def test_packer_accepts_what_is_rendered(packer: Packer, paths: Paths, name: str, cloud: Cloud) -> None:
    folder = rendered(paths, name, cloud)
    require_plugin(cloud, packer, paths)
    with samples(cloud, paths.scripts) as given:
        packer.validate(folder, given.variables, env=given.env)


AWS = (
    {"spot": True, "address": "private", "ssh_from": ["10.0.0.0/8"], "volume_throughput": 750},
    {"communicator": "session-manager", "instance_profile": "builders", "encrypt": True, "kms_key": "alias/images"},
)


@pytest.mark.parametrize("settings", AWS, ids=["spot", "session"])
@pytest.mark.parametrize("checking", [False, True])
def test_packer_accepts_the_other_settings_of_aws(packer: Packer, paths: Paths, settings: dict[str, object], checking: bool) -> None:
    require_plugin(Cloud.AWS, packer, paths)
    image = CONFIG.images["gpu-agent"].model_copy(update={"aws": AwsSettings.model_validate(settings)})
    config = CONFIG.model_copy(update={"images": {"gpu-agent": image}})
    folder = write(plan(config, LOCK, "gpu-agent", Cloud.AWS, paths.scripts, AgentSource.MICROSOFT), paths, checking=checking)
    assert packer.fmt_check(folder) == ""
    with samples(Cloud.AWS, paths.scripts, checking=checking) as given:
        packer.validate(folder, given.variables | {"spot": not checking and bool(settings.get("spot"))}, env=given.env)


GCP = (
    {"spot": True, "machine_type": "n1-standard-8", "accelerator": "nvidia-tesla-t4", "accelerator_count": 2, "vtpm": False},
    {
        "machine_type": "a4-highgpu-8g",
        "address": "private",
        "communicator": "iap",
        "network": "builds",
        "subnet": "builds-1",
        "network_project": "network-417",
        "network_tags": ["iap", "builds"],
        "service_account": "baker@agents-417.iam.gserviceaccount.com",
        "scopes": ["https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/logging.write"],
        "storage_location": "eu",
        "guest_os_features": ["GVNIC", "IDPF"],
        "labels": {"team": "render", "cost-centre": "4711"},
    },
    {},
)


@pytest.mark.parametrize("settings", GCP, ids=["spot", "inside", "secure boot"])
@pytest.mark.parametrize("checking", [False, True])
def test_packer_accepts_the_other_settings_of_google_cloud(
    packer: Packer, paths: Paths, settings: dict[str, object], checking: bool
) -> None:
    require_plugin(Cloud.GCP, packer, paths)
    vtpm = bool(settings.get("vtpm", True))
    changes = {"gcp": GcpSettings.model_validate({"integrity_monitoring": vtpm} | settings), "secure_boot": not settings}
    image = CONFIG.images["gpu-agent"].model_copy(update=changes)
    config = CONFIG.model_copy(update={"images": {"gpu-agent": image}})
    folder = write(plan(config, LOCK, "gpu-agent", Cloud.GCP, paths.scripts, AgentSource.MICROSOFT), paths, checking=checking)
    assert packer.fmt_check(folder) == ""
    with samples(Cloud.GCP, paths.scripts, checking=checking, signs=not settings) as given:
        packer.validate(folder, given.variables | {"spot": not checking and bool(settings.get("spot"))}, env=given.env)


@pytest.mark.parametrize("cloud", Cloud)
def test_packer_refuses_what_no_source_knows(packer: Packer, paths: Paths, cloud: Cloud, tmp_path: Path) -> None:
    require_plugin(cloud, packer, paths)
    folder = tmp_path / "broken"
    shutil.copytree(rendered(paths, "gpu-agent", cloud), folder)
    source = (folder / "source.pkr.hcl").read_text()
    (folder / "source.pkr.hcl").write_text(source.replace("  communicator ", "  no_such_argument = 1\n  communicator ", 1))
    with samples(cloud, paths.scripts) as given, pytest.raises(GoldbakeError, match="no_such_argument"):
        packer.validate(folder, given.variables, env=given.env)


@pytest.mark.parametrize(
    ("cloud", "variable", "value", "words"),
    [
        (Cloud.AWS, "bake", "Not A Bake", "The bake id has"),
        (Cloud.GCP, "expires", "tomorrow", "The expiry is a number"),
        (Cloud.LOCAL, "ssh_host", "192.0.2.1", "Only loopback"),
        (Cloud.AWS, "scripts_dir", "/nowhere", "/nowhere"),
        (Cloud.AWS, "bake", None, "bake"),
    ],
)
def test_packer_refuses_a_variable_that_cannot_be(
    packer: Packer, paths: Paths, cloud: Cloud, variable: str, value: str | None, words: str
) -> None:
    require_plugin(cloud, packer, paths)
    folder = rendered(paths, "gpu-agent", cloud)
    with samples(cloud, paths.scripts) as given, pytest.raises(GoldbakeError, match=words):
        packer.validate(folder, given.variables | {variable: value}, env=given.env)


def test_packer_tells_what_is_badly_formatted(packer: Packer, paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "x.pkr.hcl").write_text('variable "a" {\n  type=string\n}\n')
    assert "type = string" in packer.fmt_check(tmp_path)


def test_validating_all_says_what_was_skipped_and_why(packer: Packer, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKER", str(packer.binary))
    results = {(result.image, result.cloud): result.skipped for result in validate_all(paths, Progress(), tuple(Cloud), None)}
    assert list(results) == ALL
    assert [key for key, skipped in results.items() if skipped and key[1] is not Cloud.AZURE] == []
    assert all("plugin azure" in skipped for skipped in results.values() if skipped)


VALUES = (
    'say "x"', "C:\\x\\", "a\nb\r\n\t", "${var.x} $${y} $$${z}", "%{ if x } %%{ y }", "$", "%", "{{ .Vars }}", "'", "`id` $(id) $HOME",
    "\u00e9 \u00a0 \u2028 \U0001f600 \U000e0001 \x01 \x7f", "# // /* <<EOT", "",
)  # fmt: skip


def test_packer_reads_every_string_as_it_was_meant(packer: Packer, tmp_path: Path) -> None:
    names = {f"key {number}": value for number, value in enumerate(VALUES)}
    text = f"locals {{\n  list = {hcl.literal(VALUES, 2)}\n  map = {hcl.literal(names, 2)}\n}}\n"
    (tmp_path / "x.pkr.hcl").write_text(text, encoding="utf-8")
    env = {"CHECKPOINT_DISABLE": "1", "PACKER_CONFIG_DIR": str(tmp_path / "config"), "HOME": os.environ.get("HOME", "/")}
    said = proc.run([packer.binary, "console", tmp_path], env=env, input="jsonencode([local.list, local.map])\n").stdout
    assert json.loads(said.removeprefix("> ").strip()) == [list(VALUES), names]
