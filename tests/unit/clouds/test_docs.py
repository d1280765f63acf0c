"""The how-to pages of clouds say only what there is: tasks, flags, keys of images.yaml, files, quotas."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import tasks
from goldbake.clouds.aws import errors as aws_errors
from goldbake.clouds.aws import policy
from goldbake.clouds.aws import quotas as aws_quotas
from goldbake.clouds.aws import types as aws_types
from goldbake.clouds.aws.refusals import WORDED as AWS_WORDED
from goldbake.clouds.azure import errors as azure_errors
from goldbake.clouds.azure import role as azure_role
from goldbake.clouds.azure import shortage as azure_shortage
from goldbake.clouds.azure import types as azure_types
from goldbake.clouds.azure.refusals import WORDED as AZURE_WORDED
from goldbake.clouds.failure import Refusal
from goldbake.clouds.gcp import errors as gcp_errors
from goldbake.clouds.gcp import quotas as gcp_quotas
from goldbake.clouds.gcp import role
from goldbake.clouds.gcp import types as gcp_types
from goldbake.config.aws import AwsSettings
from goldbake.config.azure import AzureSettings
from goldbake.config.gcp import GcpSettings
from goldbake.paths import PROJECT
from tests.fakes.azure import catalogue as azure_catalogue

SETTINGS: Mapping[str, type[BaseModel]] = {"aws": AwsSettings, "gcp": GcpSettings, "azure": AzureSettings}
"""Name of a cloud's page → its keys in images.yaml."""
PURPOSES: Mapping[str, Collection[str]] = {
    "aws.policy": set(policy.Purpose),
    "gcp.role": set(role.Purpose),
    "azure.role": set(azure_role.Purpose),
}
ROWS: tuple[Refusal, ...] = (
    *aws_errors.ROWS, *(worded.row for worded in AWS_WORDED),
    *gcp_errors.ROWS, *(worded.row for worded in gcp_errors.WORDED),
    *azure_errors.ROWS, *(worded.row for worded in AZURE_WORDED),
)  # fmt: skip
FOREIGN = r"`[^`]*\b(aws|az|gcloud|pip|timedatectl) [^`]*`"
"""A command of somebody else's program."""

PAGES = [PROJECT / "docs" / "how-to" / f"{cloud}.md" for cloud in SETTINGS]


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
        for name in ("launch", "doctor", "reap")
        for each in tasks.namespace[name].get_arguments()
        for one in each.names
    }
    assert {"--zone", "--spot"} <= known
    for row in ROWS:
        ours = re.sub(rf"{FOREIGN}|(?:https?:/|docs)/\S+", "", row.fix)
        assert set(re.findall(r"--[a-z][a-z-]+", ours)) <= known, row.code
        for cloud, settings in SETTINGS.items():
            assert set(re.findall(rf"\b{cloud}\.([a-z_]+)\b", ours)) <= set(settings.model_fields), row.code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pieces_of_images_yaml_are_valid(page: Path) -> None:
    text, cloud, settings = page.read_text(encoding="utf-8"), page.stem, SETTINGS[page.stem]
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        found = yaml.safe_load(block)
        settings.model_validate(found["gpu-agent"][cloud] if "gpu-agent" in found else found[cloud])
    assert set(re.findall(rf"`{cloud}\.([a-z_]+)`", text)) <= set(settings.model_fields)


def test_quotas_of_the_pages_exist() -> None:
    text = (PROJECT / "docs/how-to/aws.md").read_text(encoding="utf-8")
    known = {quota.code for pair in aws_quotas.FAMILIES.values() for quota in (pair.on_demand, pair.spot) if quota}
    assert set(re.findall(r"L-[0-9A-F]{8}", text)) <= known
    text = (PROJECT / "docs/how-to/gcp.md").read_text(encoding="utf-8")
    metrics = {f"{spot}{metric}" for metric in gcp_quotas.GPUS.values() for spot in ("", "PREEMPTIBLE_")} | {gcp_quotas.EVERYWHERE.metric}
    named = set(re.findall(r"`((?:PREEMPTIBLE_|NVIDIA_|GPUS_)[A-Z0-9_]+)`", text))
    assert set(gcp_quotas.GPUS.values()) <= named <= metrics
    text = (PROJECT / "docs/how-to/azure.md").read_text(encoding="utf-8")
    families = set(re.findall(r"`(\w[\w ]*Family)`", text))
    assert len(families) == 5
    assert families <= {size.family for size in azure_catalogue.SIZES.values()}
    assert {azure_shortage.REGIONAL, azure_shortage.SPOT} <= set(re.findall(r"`(\w+)`", text))


def test_the_table_of_gpus_has_the_machines_that_a_launch_takes() -> None:
    table = (PROJECT / "docs/explanation/clouds.md").read_text(encoding="utf-8").partition("| GPU |")[2].partition("\n\n")[0]
    written = {}
    for line in table.splitlines()[2:]:
        gpu, *machines = (cell.strip() for cell in line.strip("|").split("|"))
        written[gpu.lower().replace(" ", "-")] = [re.match(r"`([^`]+)`|–", machine)[1] for machine in machines]  # type: ignore[index]
    known = [{str(gpu): name for name, gpu in reversed(types.CHEAPEST)} for types in (aws_types, gcp_types, azure_types)]
    assert written == {gpu: [types.get(gpu) for types in known] for gpu in written}
    assert set(written) == {gpu for types in known for gpu in types}


@pytest.mark.parametrize("module", PURPOSES)
def test_purposes_of_the_pages_exist(module: str) -> None:
    text = (PROJECT / "docs" / "how-to" / f"{module.partition('.')[0]}.md").read_text(encoding="utf-8")
    named = re.findall(rf"goldbake\.clouds\.{re.escape(module)} ([a-z -]+?)(?: #|\n)", text)
    assert named
    for words in named:
        assert set(words.split()) <= set(PURPOSES[module])


@pytest.mark.parametrize(
    "page",
    [*PAGES, *PROJECT.glob("docs/adr/00[01][8901]-*.md"), *PROJECT.glob("docs/explanation/*.md"), PROJECT / "docs/troubleshooting.md"],
    ids=lambda page: page.stem,
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
