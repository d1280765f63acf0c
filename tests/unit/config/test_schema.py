"""The schema takes what load_config takes, and the written files are those of today's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from goldbake.config.model import Config, Gpu
from goldbake.config.schema import FOLDER, json_schema, reference, write
from goldbake.paths import PROJECT
from tests.unit.config.documents import GOOD


def errors(data: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.json_path for error in validator.iter_errors(data)]


def document() -> Any:
    return yaml.safe_load(GOOD)


def test_the_written_files_are_fresh(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("images.schema.json", "images.md"):
        fresh = (tmp_path / name).read_text(encoding="utf-8")
        assert (FOLDER / name).read_text(encoding="utf-8") == fresh, "run python -m goldbake.config.schema"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_projects_images_fit_the_schema() -> None:
    text = (PROJECT / "images.yaml").read_text(encoding="utf-8")
    assert errors(yaml.safe_load(text)) == []
    assert text.splitlines()[0] == "# yaml-language-server: $schema=docs/reference/images.schema.json"


def test_an_image_that_extends_another_needs_no_other_key() -> None:
    data = document()
    data["images"]["other"] = {"extends": "base"}
    data["defaults"] = {"local": "base"}
    assert errors(data) == []


@pytest.mark.parametrize(
    "key", [name for name, field in Config.model_json_schema()["$defs"]["Image"]["properties"].items() if "default" not in field]
)
def test_an_image_that_stands_alone_needs_every_key_without_a_default(key: str) -> None:
    data = document()
    del data["images"]["base"][key]
    assert errors(data) == ["$.images.base"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"disk_gb": 16}, "$.images.base"),
    "a number as version": ({"agent": {"version": 4.2}}, "$.images.base.agent.version"),
    "a branch as version": ({"agent": {"version": "4"}}, "$.images.base.agent.version"),
    "an unknown gpu": ({"gpus": ["t5"]}, "$.images.base.gpus[0]"),
    "no cloud": ({"clouds": []}, "$.images.base.clouds"),
    "a small disk": ({"disk_gib": 1}, "$.images.base.disk_gib"),
    "extends a list": ({"extends": ["base"]}, "$.images.base.extends"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_schema_refuses_what_loading_refuses(kind: str) -> None:
    changes, path = WRONG[kind]
    data = document()
    data["images"]["base"].update(changes)
    assert errors(data) == [path]


def test_the_schema_refuses_wrong_names() -> None:
    assert errors({"images": {"Base": document()["images"]["base"]}}) == ["$.images"]
    assert errors({**document(), "defaults": {"lokal": "base"}}) == ["$.defaults"]


def test_every_key_is_described_in_the_schema_and_on_the_page() -> None:
    schema, page = json_schema(), reference()
    for model in [schema, *schema["$defs"].values()]:
        for key, value in model.get("properties", {}).items():
            target = schema["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or target.get("description"), key
            assert f"| `{key}` |" in page
    for gpu in Gpu:
        assert f"| `{gpu}` |" in page


def test_the_page_tells_defaults_and_limits() -> None:
    rows = {line.split("`")[1]: line for line in reference().splitlines() if line.startswith("| `")}
    assert "| whole number from 4 to 2048 | `32` |" in rows["disk_gib"]
    assert "| **required** |" in rows["os"]
    assert "`compute` or `grid` | `compute` |" in rows["variant"]
    assert rows["k80"] == "| `k80` | Kepler | `proprietary` | 340 | 470 |"
