"""Tasks as people type them: what is on stdout, what on stderr, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration import workshop
from tests.integration.workshop import Workshop

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Workshop:
    return workshop.make(tmp_path)


def test_dry_run_tells_layers_and_starts_nothing(project: Workshop) -> None:
    done = project.run("bake", "--dry-run", "--json")
    assert done.code == 0
    assert done.document() == {
        "image": "tiny",
        "cloud": "local",
        "exists": False,
        "layers": {"base": False, "first": False, "second": False},
    }
    assert not project.work.exists()


def test_images_of_a_fresh_machine_is_an_empty_list(project: Workshop) -> None:
    assert project.run("images", "--json").document() == []
    assert "./inv bake" in project.run("images").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bake", "--image", "huge"), 2, "there is no image 'huge'"),
        (("bake", "--cloud", "ibm"), 2, "there is no cloud 'ibm'"),
        (("bake", "--cloud", "aws"), 2, "no image in images.yaml is for aws"),
        (("bake", "--agent", "latest"), 2, "there is no agent 'latest'"),
        (("bake", "--agent", "microsoft"), 4, "no hash is pinned for agent-4.275.0"),
        (("check", "--host", "root@192.0.2.1"), 2, "'root@192.0.2.1' is not understood"),
        (("check",), 2, "no usable artifact of tiny"),
        (("render", "--image", "huge"), 2, "there is no image 'huge'"),
        (("pin", "nonsense"), 2, "there is no pin 'nonsense'"),
    ],
)
def test_wrong_usage_is_one_line_of_what_and_one_of_what_to_do(project: Workshop, words: tuple[str, ...], code: int, said: str) -> None:
    done = project.run(*words)
    lines = done.stderr.splitlines()
    assert done.code == code
    assert done.stdout == ""
    assert lines[-2].startswith("error: ")
    assert said in lines[-2]
    assert lines[-1].startswith("hint: ")


def test_broken_images_yaml_names_line_and_key_of_every_problem(project: Workshop) -> None:
    text = (project.project / "images.yaml").read_text()
    (project.project / "images.yaml").write_text(
        text.replace("version: 20.10.24", "version: latest").replace("os: debian-12", "os: debian-11")
    )
    done = project.run("bake")
    assert done.code == 2
    assert "images.yaml:4: images.tiny.os" in done.stderr
    assert "images.yaml:9: images.tiny.docker.version" in done.stderr
    assert "Traceback" not in done.stderr


def test_render_writes_templates_and_names_their_folders(project: Workshop) -> None:
    done = project.run("render", "--json")
    folders = [Path(folder) for folder in done.document()]
    assert folders == [project.project / "packer" / "build" / "tiny" / "local"]
    assert 'name    = "first"' in (folders[0] / "build.pkr.hcl").read_text()


def test_unresolved_pin_renders_with_a_warning(project: Workshop) -> None:
    assert "./inv pin agent-4.275.0" in project.run("render").stderr


def test_doctor_is_a_table_or_json(project: Workshop) -> None:
    rows = {row["what"]: row for row in project.run("doctor", "--json").document()}
    assert {"mmdebstrap", "root", "disk", "overlayfs"} <= set(rows)
    assert project.run("doctor").stdout.splitlines()[0].split() == ["WHAT", "STATE", "FIX"]


def test_every_task_has_help(project: Workshop) -> None:
    listed = json.loads(project.run("--list", "--list-format=json").stdout)
    tasks = [*listed["tasks"], *(task for group in listed["collections"] for task in group["tasks"])]
    assert {task["name"] for task in tasks} >= {"bake", "check", "images", "render", "validate", "pin", "doctor", "test", "lint"}
    assert [task["name"] for task in tasks if not task["help"]] == []
