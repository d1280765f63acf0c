"""What is rendered from images.yaml is in tests/golden, byte by byte; values mean themselves whatever they hold.

After a wanted change: `GOLDBAKE_UPDATE_GOLDEN=1 python -m pytest tests/unit/test_render.py`, then read the difference and commit it.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path
from types import MappingProxyType

import jinja2
import pytest

from goldbake import hcl
from goldbake.config.base_images import AWS, AZURE, GCP
from goldbake.config.gcp import GcpSettings
from goldbake.config.load import load_config, load_lock
from goldbake.config.model import Cloud, Config, Lock, Os
from goldbake.errors import ConfigError
from goldbake.paths import PROJECT, Paths
from goldbake.plan import AgentSource, BakePlan, plan
from goldbake.provenance import IN_IMAGE
from goldbake.render import CERTIFICATE, MANIFEST, UPLOADED, render, write
from goldbake.templates import CHECKED

GOLDEN = Path(__file__).parent.parent / "golden"
UPDATE = os.environ.get("GOLDBAKE_UPDATE_GOLDEN") == "1"
CONFIG = load_config(PROJECT / "images.yaml", PROJECT / "image-scripts")
LOCK = load_lock(PROJECT / "images.lock.yaml")
ALL = [(name, cloud) for name, image in CONFIG.images.items() for cloud in image.clouds]
FOLDERS = [(name, cloud, checking) for name, cloud in ALL for checking in ((False, True) if cloud in CHECKED else (False,))]


def planned(name: str, cloud: Cloud, config: Config = CONFIG, **variables: str) -> BakePlan:
    todo = plan(config, LOCK, name, cloud, PROJECT / "image-scripts", AgentSource.MICROSOFT)
    return changed(todo, variables) if variables else todo


def changed(todo: BakePlan, variables: dict[str, str]) -> BakePlan:
    fields = {field: getattr(todo, field) for field in todo.__dataclass_fields__}
    return BakePlan(**fields | {"variables": MappingProxyType({**todo.variables, **variables})})


def with_image(**changes: object) -> Config:
    """images.yaml with other values in gpu-agent."""
    image = CONFIG.images["gpu-agent"]
    return CONFIG.model_copy(update={"images": {**CONFIG.images, "gpu-agent": image.model_copy(update=changes)}})


# --- golden files


def folder_of(name: str, cloud: Cloud, checking: bool) -> Path:
    return GOLDEN / name / (cloud.value + ("-check" if checking else ""))


@pytest.mark.parametrize(("name", "cloud", "checking"), FOLDERS)
def test_an_image_is_rendered_as_expected(name: str, cloud: Cloud, checking: bool) -> None:
    folder, files = folder_of(name, cloud, checking), render(planned(name, cloud), checking=checking)
    if UPDATE:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == files


def test_no_golden_file_is_left_of_an_image_that_is_gone() -> None:
    assert set(GOLDEN.glob("*/*")) == {folder_of(*each) for each in FOLDERS}


# --- what a reader of the golden files could miss


@pytest.mark.parametrize("cloud", Cloud)
def test_every_script_of_every_layer_runs_once_and_in_order(cloud: Cloud) -> None:
    text = render(planned("gpu-agent", cloud))["build.pkr.hcl"]
    assert tuple(re.findall(r'"\$\{var\.scripts_dir\}/([a-z-]+)\.sh"', text)) == (
        *CONFIG.images["gpu-agent"].scripts,
        *(() if cloud is Cloud.LOCAL else ("write-manifest",)),
    )


@pytest.mark.parametrize(("name", "cloud"), ALL)
def test_no_secret_and_no_path_of_this_machine_is_rendered(name: str, cloud: Cloud) -> None:
    text = "".join(render(planned(name, cloud)).values())
    assert str(PROJECT) not in text
    assert str(Path.home()) + "/" not in text


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCP, Cloud.AZURE])
def test_a_cloud_build_is_tagged_restarts_after_the_kernel_and_removes_what_it_uploaded(cloud: Cloud) -> None:
    files = render(planned("gpu-agent", cloud))
    for tag in ("managed-by", "goldbake-bake", "goldbake-image", "goldbake-expires"):
        assert f'"{tag}"' in files["source.pkr.hcl"]
    build = files["build.pkr.hcl"]
    assert build.count("systemctl reboot") == 1
    assert build.index("install-kernel.sh") < build.index("systemctl reboot") < build.index("install-driver.sh")
    assert build.index("clean-image.sh") < build.index(f'"sudo rm -rf {UPLOADED}"')


def with_aws(**changes: object) -> Config:
    """images.yaml with other settings for AWS in gpu-agent."""
    return with_image(aws=CONFIG.images["gpu-agent"].aws.model_copy(update=changes))


def aws_source(**changes: object) -> str:
    return render(planned("gpu-agent", Cloud.AWS, with_aws(**changes)))["source.pkr.hcl"]


def test_only_this_machine_may_open_ssh_unless_others_are_named() -> None:
    assert "temporary_security_group_source_public_ip = true" in aws_source()
    text = aws_source(ssh_from=("192.0.2.0/24",))
    assert 'source_cidrs = [\n    "192.0.2.0/24",\n  ]' in text
    assert "source_public_ip" not in text


def test_session_manager_opens_no_port_and_has_its_profile() -> None:
    text = aws_source(communicator="session-manager", instance_profile="builders", address="private")
    assert 'ssh_interface           = "session_manager"' in text
    assert 'iam_instance_profile        = "builders"' in text
    assert "associate_public_ip_address = null" in text
    assert "temporary_security_group" not in text


def test_encryption_is_of_the_build_volume_so_that_no_plain_snapshot_ever_is() -> None:
    assert "encrypted" not in aws_source()
    text = aws_source(encrypt=True, kms_key="alias/images", volume_throughput=500)
    assert "encrypted             = true" in text
    assert 'kms_key_id            = "alias/images"' in text
    assert "throughput            = 500" in text


def test_the_manifest_is_written_last_and_copied_here() -> None:
    build = render(planned("gpu-agent", Cloud.AWS))["build.pkr.hcl"]
    assert f"/{IN_IMAGE}" == MANIFEST
    assert build.index("clean-image.sh") < build.index("write-manifest.sh") < build.index(f'source      = "{MANIFEST}"')


def test_a_check_makes_no_image_and_has_no_secret_in_its_arguments() -> None:
    files = render(planned("gpu-agent", Cloud.AWS), checking=True)
    assert set(files) == {"check.pkr.hcl", "plugins.pkr.hcl", "source.pkr.hcl", "variables.pkr.hcl"}
    assert "skip_create_ami = var.checking" in files["source.pkr.hcl"]
    last = files["check.pkr.hcl"].splitlines()[-4]
    assert last.strip().startswith('"exec ')
    assert "SSHPrivateKey" not in last


def test_a_local_layer_is_a_build_of_its_own_that_removes_what_it_uploaded() -> None:
    text = render(planned("gpu-agent-distro", Cloud.LOCAL))["build.pkr.hcl"]
    names = re.findall(r'^  name    = "([a-z]+)"$', text, re.MULTILINE)
    assert names == [layer.name for layer in CONFIG.images["gpu-agent-distro"].layers]
    assert text.count(f'inline = ["rm -rf {UPLOADED}"]') == len(names)
    assert "sudo" not in text


def test_only_clouds_with_a_plugin_require_one() -> None:
    assert "plugins.pkr.hcl" not in render(planned("gpu-agent", Cloud.LOCAL))
    assert '"= 1.8.2"' in render(planned("gpu-agent", Cloud.AWS))["plugins.pkr.hcl"]


def gcp_source(**changes: object) -> str:
    """The source of gpu-agent with other settings of Google Cloud."""
    gcp = GcpSettings.model_validate(CONFIG.images["gpu-agent"].gcp.model_dump() | changes)
    return render(planned("gpu-agent", Cloud.GCP, with_image(gcp=gcp)))["source.pkr.hcl"]


NO_MIGRATION = 'on_host_maintenance         = "TERMINATE"'


@pytest.mark.parametrize(
    "machine_type", ["a2-highgpu-1g", "a3-highgpu-8g", "a3-ultragpu-8g", "a4-highgpu-8g", "g2-standard-8", "g4-standard-48"]
)
def test_a_machine_with_a_gpu_of_its_own_is_not_migrated_and_names_no_accelerator(machine_type: str) -> None:
    text = gcp_source(machine_type=machine_type)
    assert NO_MIGRATION in text
    assert "accelerator" not in text


def test_a_machine_without_a_gpu_is_migrated_unless_it_is_spare_capacity() -> None:
    assert 'on_host_maintenance         = var.spot ? "TERMINATE" : "MIGRATE"' in gcp_source()


def test_an_accelerator_is_named_with_project_and_zone() -> None:
    text = gcp_source(machine_type="n1-standard-8", accelerator="nvidia-tesla-t4", accelerator_count=2)
    assert NO_MIGRATION in text
    assert 'accelerator_type  = "projects/${var.project}/zones/${var.zone}/acceleratorTypes/nvidia-tesla-t4"' in text
    assert "accelerator_count = 2" in text


@pytest.mark.parametrize(
    ("machine_type", "disk"),
    [("n2-standard-4", "pd-balanced"), ("g2-standard-4", "pd-balanced"), ("a3-highgpu-8g", "pd-balanced"), ("c3-standard-4", "pd-balanced")]
    + [(name, "hyperdisk-balanced") for name in ("a3-ultragpu-8g", "a4-highgpu-8g", "g4-standard-48", "c4-standard-4", "n4-standard-4")],
)
def test_a_machine_without_persistent_disks_gets_a_hyperdisk(machine_type: str, disk: str) -> None:
    assert f'disk_type                   = "{disk}"' in gcp_source(machine_type=machine_type)


def test_a_build_on_google_cloud_has_no_identity_unless_one_is_named_with_its_scopes() -> None:
    assert "disable_default_service_account = true" in gcp_source()
    scope = "https://www.googleapis.com/auth/devstorage.read_only"
    text = gcp_source(service_account="baker@agents-417.iam.gserviceaccount.com", scopes=(scope,))
    assert "disable_default_service_account" not in text
    assert f'scopes = [\n    "{scope}",\n  ]' in text


def test_a_private_build_on_google_cloud_is_reached_inside_or_by_iap() -> None:
    text = gcp_source(
        address="private", communicator="iap", network="builds", subnet="builds-1", network_project="network-417", network_tags=("iap",)
    )
    for line in ("omit_external_ip = true", "use_internal_ip  = true", "use_iap          = true"):
        assert line in text
    for line in ('network = "builds"', 'subnetwork = "builds-1"', 'network_project_id = "network-417"', 'tags = [\n    "iap",\n  ]'):
        assert line in text


def test_an_image_of_google_cloud_joins_no_family_before_it_is_checked() -> None:
    assert "image_family" not in gcp_source(family="agents")


def test_an_image_for_secure_boot_brings_its_certificate_and_microsofts() -> None:
    todo = planned("gpu-agent", Cloud.GCP, with_image(secure_boot=True))
    build, check = render(todo), render(todo, checking=True)
    for files in (build, check):
        assert "enable_secure_boot          = true" in files["source.pkr.hcl"]
    listed = re.search(r"image_signatures_db = \[(.*?)\]", build["source.pkr.hcl"], re.DOTALL)
    assert listed is not None
    named = re.findall(r"[a-z-]+[0-9]+\.der", listed[1])
    assert [(PROJECT / "packer" / "certificates" / name).is_file() for name in named] == [True, True]
    assert "var.signing_certificate," in listed[1]
    assert "image_signatures_db" not in check["source.pkr.hcl"]
    text = build["build.pkr.hcl"]
    order = ["make-signing-key.sh", "install-driver.sh", "remove-signing-key.sh", "clean-image.sh", f'source      = "{CERTIFICATE}"']
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "secure_boot" not in gcp_source()


def test_microsofts_certificates_are_microsofts() -> None:
    """By the thumbprints that Microsoft publishes, which are SHA-1 over the certificate."""
    folder = PROJECT / "packer" / "certificates"
    found = {path.name: hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest() for path in folder.glob("*.der")}
    assert found == {
        "microsoft-uefi-ca-2011.der": "46def63b5ce61cf8ba0de2e6639c1019d0ed14f3",
        "microsoft-uefi-ca-2023.der": "b5eeb4a6706048073f0ed296e7f580a790b59eaa",
    }
    table = (folder / "README.md").read_text()
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() in table for path in folder.glob("*.der"))


def test_the_user_that_packer_logs_in_as_goes_last() -> None:
    build = render(planned("gpu-agent", Cloud.GCP))["build.pkr.hcl"]
    assert build.index(f'"sudo rm -rf {UPLOADED}"') < build.index("userdel --force --remove packer")
    assert 'ssh_username            = var.checking ? "goldbake" : "packer"' in gcp_source()


def test_the_check_of_an_image_names_no_image_that_exists() -> None:
    assert 'image_name              = var.checking ? "goldbake-${var.bake}" : "gpu-agent-${var.bake}"' in gcp_source()


@pytest.mark.parametrize("system", Os)
def test_every_system_has_a_base_image_on_every_cloud(system: Os) -> None:
    bases: dict[Cloud, object] = {Cloud.AWS: AWS[system], Cloud.GCP: GCP[system], Cloud.AZURE: AZURE[system]}
    for cloud, base in bases.items():
        text = render(planned("gpu-agent", cloud, with_image(os=system)))["source.pkr.hcl"]
        chosen = {Cloud.AWS: {"root_device", "user"}, Cloud.GCP: set()}.get(cloud, set(vars(base)))  # the others are looked up before
        assert all(f'"{value}"' in text for key, value in vars(base).items() if key in chosen)


# --- values


NASTY = 'a "quoted" \\ ${var.bake} %{ if x } $${y} back`tick\nnew line \t é'


def test_a_variable_means_itself_whatever_it_holds() -> None:
    text = render(planned("gpu-agent", Cloud.LOCAL, GOLDBAKE_AGENT_URL=NASTY))["build.pkr.hcl"]
    assert f"      {hcl.quote(f'GOLDBAKE_AGENT_URL={NASTY}')},\n" in text
    assert "${var.bake}" not in text


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCP])
def test_a_description_means_itself_whatever_it_holds(cloud: Cloud) -> None:
    files = render(planned("gpu-agent", cloud, with_image(description=NASTY)))
    assert hcl.quote(NASTY) in files["source.pkr.hcl"]
    assert hcl.quote(NASTY) in files["build.pkr.hcl"]


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCP])
def test_a_description_is_no_go_template_for_the_plugin(cloud: Cloud) -> None:
    source = render(planned("gpu-agent", cloud, with_image(description="for {{user}} only")))["source.pkr.hcl"]
    assert '"for { {user}} only"' in source


def test_a_variable_that_packer_would_render_again_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("GOLDBAKE_AGENT_URL is 'https://x/{{id}}'")):
        render(planned("gpu-agent", Cloud.LOCAL, GOLDBAKE_AGENT_URL="https://x/{{id}}"))


def test_a_template_that_names_something_unknown_is_refused(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(PROJECT / "packer" / "templates", templates)
    with (templates / "build.pkr.hcl.j2").open("a") as file:
        file.write("{{ image.colour | hcl }}\n")
    with pytest.raises(jinja2.UndefinedError, match="colour"):
        render(planned("gpu-agent", Cloud.AWS), templates=templates)


# --- files


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "packer").mkdir()
    shutil.copytree(PROJECT / "packer" / "templates", tmp_path / "packer" / "templates")
    return Paths(tmp_path, tmp_path / "cache", tmp_path / "state")


def test_templates_are_written_to_a_folder_of_image_and_cloud(paths: Paths) -> None:
    folder = write(planned("gpu-agent", Cloud.AWS), paths)
    assert folder == paths.build / "gpu-agent" / "aws"
    assert {path.name: path.read_text() for path in folder.iterdir()} == render(planned("gpu-agent", Cloud.AWS))


def test_a_second_write_leaves_nothing_of_the_first(paths: Paths) -> None:
    folder = write(planned("gpu-agent", Cloud.AWS), paths)
    (folder / "old.pkr.hcl").write_text("broken {")
    write(planned("gpu-agent", Cloud.AWS), paths)
    assert "old.pkr.hcl" not in {path.name for path in folder.iterdir()}
    assert [path.name for path in folder.parent.iterdir()] == ["aws"]


def test_a_failed_rendering_leaves_what_was_there(paths: Paths) -> None:
    folder = write(planned("gpu-agent", Cloud.AWS), paths)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    with pytest.raises(ConfigError):
        write(planned("gpu-agent", Cloud.AWS, GOLDBAKE_AGENT_URL="{{"), paths)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["aws"]


def test_an_unresolved_lock_renders_as_well() -> None:
    todo = plan(CONFIG, Lock(pins={}), "gpu-agent", Cloud.AWS, PROJECT / "image-scripts", AgentSource.MICROSOFT)
    assert len(todo.unresolved) == 4
    assert '"GOLDBAKE_AGENT_SHA256=",' in render(todo)["build.pkr.hcl"]
