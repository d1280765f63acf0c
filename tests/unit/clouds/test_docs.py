"""The how-to pages of clouds say only what there is: tasks, flags, keys of images.yaml, files, quotas."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

import tasks
from goldbake.clouds.aws import quotas
from goldbake.clouds.aws.errors import ROWS
from goldbake.clouds.aws.policy import Purpose
from goldbake.clouds.aws.refusals import WORDED
from goldbake.config.aws import AwsSettings
from goldbake.paths import PROJECT

PAGES = sorted(PROJECT.glob("docs/how-to/aws.md"))


def _commands(page: Path) -> list[list[str]]:
    """Every `./inv …` of a page, in code blocks and in running text."""
    text = page.read_text(encoding="utf-8")
    indented = re.findall(r"^ {4}(\./inv .*)$", text, re.MULTILINE)
    inline = re.findall(r"`(\./inv [^`]+)`", text)
    return [shlex.split(line, comments=True)[1:] for line in [*indented, *inline]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_has_a_task_with_these_flags(page: Path) -> None:
    commands = _commands(page)
    assert len(commands) > 10
    for name, *words in commands:
        known = {
            flag for argument in tasks.namespace[name].get_arguments() for flag in (f"--{one.replace('_', '-')}" for one in argument.names)
        }
        unknown = [word for word in words if word.startswith("--") and word not in known]
        assert unknown == [], f"./inv {name} has no {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_in_running_text_are_flags_of_launch_bake_or_doctor(page: Path) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8")))
    known = {
        f"--{one.replace('_', '-')}"
        for name in ("launch", "bake", "doctor")
        for each in tasks.namespace[name].get_arguments()
        for one in each.names
    }
    assert named
    assert named - known == set()


def test_next_steps_name_only_flags_that_there_are() -> None:
    known = {
        f"--{one.replace('_', '-')}"
        for name in ("launch", "doctor")
        for each in tasks.namespace[name].get_arguments()
        for one in each.names
    }
    for row in [*ROWS, *(worded.row for worded in WORDED)]:
        ours = re.sub(r"`(aws|pip|timedatectl) [^`]*`", "", row.fix)
        assert set(re.findall(r"--[a-z][a-z-]+", ours)) <= known, row.code
        assert set(re.findall(r"`aws\.([a-z_]+)`", row.fix)) <= set(AwsSettings.model_fields), row.code


def test_the_pieces_of_images_yaml_are_valid() -> None:
    text = (PROJECT / "docs/how-to/aws.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        found = yaml.safe_load(block)
        AwsSettings.model_validate(found["gpu-agent"]["aws"] if "gpu-agent" in found else found["aws"])
    assert set(re.findall(r"`aws\.([a-z_]+)`", text)) <= set(AwsSettings.model_fields)


def test_quotas_and_purposes_of_the_page_exist() -> None:
    text = (PROJECT / "docs/how-to/aws.md").read_text(encoding="utf-8")
    known = {quota.code for pair in quotas.FAMILIES.values() for quota in (pair.on_demand, pair.spot) if quota}
    assert set(re.findall(r"L-[0-9A-F]{8}", text)) <= known
    for words in re.findall(r"goldbake\.clouds\.aws\.policy ([a-z -]+?)(?: #|\n)", text):
        assert set(words.split()) <= set(Purpose)


@pytest.mark.parametrize(
    "page", [*PAGES, *PROJECT.glob("docs/adr/000[89]-*.md"), PROJECT / "docs/troubleshooting.md"], ids=lambda page: page.stem
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
