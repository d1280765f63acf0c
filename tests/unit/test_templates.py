"""Many templates at once: which are meant, what is said of each, and what stops all; a shell script stands in for Packer."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest

from goldbake import toolchain
from goldbake.config.load import dump_lock
from goldbake.config.model import Cloud, Lock, Pin
from goldbake.errors import GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.paths import PROJECT, Paths
from goldbake.samples import samples
from goldbake.templates import CHECKED, render_all, validate_all
from goldbake.toolchain import host_platform
from tests.standins import StandIns

GOLDEN = Path(__file__).parent.parent / "golden"
EVERY = tuple(Cloud)
IMAGE = {
    "description": "a test",
    "os": "ubuntu-24.04",
    "clouds": ["aws", "azure", "local"],
    "gpus": ["t4"],
    "driver": {"source": "nvidia", "version": "580.159.04", "module": "open"},
    "docker": {"source": "docker", "version": "28.2.2"},
    "toolkit": {"source": "nvidia", "version": "1.19.1"},
    "agent": {"version": "4.275.0"},
    "layers": [{"name": "agent", "scripts": ["install-agent"]}],
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A checkout with two images, the templates, and a lock in which the agent is unresolved."""
    project = tmp_path / "project"
    (project / "image-scripts").mkdir(parents=True)
    (project / "image-scripts" / "install-agent.sh").touch()
    shutil.copytree(PROJECT / "packer" / "templates", project / "packer" / "templates")
    (project / "images.yaml").write_text(json.dumps({"images": {"full": IMAGE, "small": {**IMAGE, "clouds": ["local"]}}}))
    known = {"cuda-keyring-ubuntu2404": Pin(version="1.1-1", url="https://x/k.deb", sha256="1" * 64)}
    known |= {name: Pin(version="stable", url="https://x", fingerprint="A" * 40) for name in ("docker-repository", "toolkit-repository")}
    known |= {f"packer-{host_platform()}": Pin(version="1.16.0", url="https://x/packer.zip", sha256="2" * 64)}
    (project / "images.lock.yaml").write_text(dump_lock(Lock(pins=known)))
    return Paths(project, tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def packer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """A Packer of the pinned version that accepts all; every plugin but Azure's is there."""
    stand_ins = StandIns(tmp_path / "standins", monkeypatch)
    keygen = shutil.which("ssh-keygen", path="/usr/bin:/bin")
    assert keygen is not None
    (stand_ins.bin / "ssh-keygen").symlink_to(keygen)
    accepting(stand_ins)
    monkeypatch.setenv("PACKER", str(stand_ins.bin / "packer"))

    def ensure(cloud: Cloud, *_: object) -> None:
        if cloud is Cloud.AZURE:
            raise MissingError("the Packer plugin azure cannot be had: blocked")

    monkeypatch.setattr(toolchain, "ensure_plugin", ensure)
    return stand_ins


def accepting(stand_ins: StandIns, otherwise: str = ":") -> None:
    stand_ins.program("packer", f'case "$1" in version) echo Packer v1.16.0; exit ;; esac\n{otherwise}')


def folders(paths: Paths, found: list[Path]) -> list[str]:
    return [str(folder.relative_to(paths.build)) for folder in found]


def test_every_image_is_rendered_for_every_cloud_that_it_is_for(paths: Paths, said: io.StringIO) -> None:
    found = render_all(paths, Progress(said), EVERY, None)
    assert folders(paths, found) == ["full/aws", "full/azure", "full/local", "small/local"]
    assert all((folder / "build.pkr.hcl").exists() for folder in found)


def test_image_and_clouds_narrow_what_is_rendered(paths: Paths, said: io.StringIO) -> None:
    assert folders(paths, render_all(paths, Progress(said), EVERY, "small")) == ["small/local"]
    assert folders(paths, render_all(paths, Progress(said), (Cloud.AWS, Cloud.GCP), None)) == ["full/aws"]


def test_an_unresolved_pin_is_rendered_and_told_with_the_command(paths: Paths, said: io.StringIO) -> None:
    render_all(paths, Progress(said), (Cloud.AWS,), None)
    assert said.getvalue() == "warning: full/aws: rendered, but a bake needs `./inv pin agent-4.275.0` first\n"


@pytest.mark.parametrize(
    ("image", "clouds", "words"),
    [
        ("nosuch", EVERY, "there is no image 'nosuch'"),
        ("small", (Cloud.AWS,), "no image is for aws"),
        (None, (Cloud.GCP,), "no image is for gcp"),
    ],
)
def test_what_fits_nothing_is_refused(paths: Paths, said: io.StringIO, image: str | None, clouds: tuple[Cloud, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        render_all(paths, Progress(said), clouds, image)


def test_each_template_is_checked_with_the_values_of_its_cloud(paths: Paths, packer: StandIns, said: io.StringIO) -> None:
    results = validate_all(paths, Progress(said), (Cloud.AWS, Cloud.LOCAL), "full")
    assert [(result.image, result.cloud, result.skipped) for result in results] == [("full", Cloud.AWS, ""), ("full", Cloud.LOCAL, "")]
    checked = [call.split() for call in packer.calls("packer") if not call.startswith("version")]
    names = [(words[0], str(Path(words[-1]).relative_to(paths.build))) for words in checked]
    assert names == [(what, f"full/{folder}") for folder in ("aws-check", "aws", "local") for what in ("fmt", "validate")]
    assert packer.env("packer")["PKR_VAR_ssh_port"] == "22"


def test_a_plugin_that_is_lacking_skips_the_validation_and_says_why(paths: Paths, packer: StandIns, said: io.StringIO) -> None:
    results = validate_all(paths, Progress(said), EVERY, "full")
    assert {result.cloud: result.skipped for result in results} == {
        Cloud.AWS: "",
        Cloud.AZURE: "skipped: the Packer plugin azure cannot be had: blocked",
        Cloud.LOCAL: "",
    }
    assert results[1].document()["skipped"] == results[1].skipped
    assert said.getvalue().count("azure: skipped") == 1
    assert not [call for call in packer.calls("packer") if call.startswith("validate") and "azure" in call]
    assert [call for call in packer.calls("packer") if call.startswith("fmt") and "azure" in call]


def test_a_template_that_packer_refuses_stops_all(paths: Paths, packer: StandIns, said: io.StringIO) -> None:
    accepting(packer, 'if [ "$1" = validate ]; then echo "Error: Unsupported argument"; exit 1; fi')
    with pytest.raises(GoldbakeError, match="Unsupported argument"):
        validate_all(paths, Progress(said), (Cloud.AWS,), None)


def test_a_template_that_packer_would_format_otherwise_stops_all(paths: Paths, packer: StandIns, said: io.StringIO) -> None:
    accepting(packer, 'if [ "$1" = fmt ]; then echo "-a=1"; exit 3; fi')
    with pytest.raises(GoldbakeError, match=r"packer fmt would change .*full/azure-check:\n-a=1"):
        validate_all(paths, Progress(said), (Cloud.AZURE,), None)


def test_nothing_is_installed_for_what_fits_nothing(paths: Paths, said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKER", "/nowhere/packer")
    with pytest.raises(UsageError):
        validate_all(paths, Progress(said), EVERY, "nosuch")


@pytest.mark.parametrize("cloud", Cloud)
def test_sample_values_name_files_that_exist_only_for_the_block(cloud: Cloud, tmp_path: Path) -> None:
    with samples(cloud, tmp_path) as given:
        files = [Path(str(given.variables["files_dir"])), Path(str(given.variables.get("ssh_private_key_file", tmp_path)))]
        assert all(path.exists() for path in files)
    assert not files[0].exists()


@pytest.mark.parametrize("folder", [*(cloud.value for cloud in Cloud), *(f"{cloud}-check" for cloud in CHECKED)])
def test_sample_values_are_all_that_a_template_asks_for_and_nothing_else(folder: str, tmp_path: Path) -> None:
    cloud, checking = Cloud(folder.removesuffix("-check")), folder.endswith("-check")
    text = "".join(path.read_text() for path in (GOLDEN / "gpu-agent" / folder).iterdir())
    declared = dict(re.findall(r'^variable "(\w+)" {\n(.*?)^}', text, re.MULTILINE | re.DOTALL))
    required = {name for name, body in declared.items() if "  default " not in body}
    with samples(cloud, tmp_path, checking=checking) as given:
        assert required <= given.variables.keys() <= declared.keys()
