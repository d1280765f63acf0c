"""The model → docs/reference/images.schema.json for editors, and docs/reference/images.md for people.

    python -m goldbake.config.schema

writes both; a test fails when they are stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goldbake.config.model import Config
from goldbake.config.rules import AZURE_GRID, DEBIAN_DRIVER, SECURE_BOOT, SUPPORT
from goldbake.paths import PROJECT

FOLDER = PROJECT / "docs" / "reference"

EXTENDS = (
    "The image whose keys this one has too. A key that stands here replaces the other's whole value: "
    "`driver: {…}` here replaces all of its `driver`. The other image may extend a third one."
)
"""What `extends` means; it is resolved before the model sees an image, so no model has it."""

_INTRODUCTION = """\
# images.yaml

<!-- Generated from goldbake/config/model.py and rules.py by `python -m goldbake.config.schema`; change it there. -->

All golden images, described in one file. `./inv render` checks it and starts nothing; every problem is reported at once, with its line.
Editors complete and check it by [images.schema.json](images.schema.json), which the file's first line names.

A version is an exact one and text: YAML reads `28.2` as a number, so write `"28.2"`. Anchors, aliases, merge keys (`<<`) and tags are
refused: `extends` shares keys between images. Truth is written `true` or `false`.
"""

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The JSON Schema of images.yaml (draft 2020-12). An image needs all its keys, unless it extends another."""
    schema = Config.model_json_schema()
    definitions: Schema = schema.pop("$defs")
    for definition in (*definitions.values(), schema):
        _tidy(definition)
    image = definitions["Image"]
    name = dict(schema["properties"]["defaults"]["additionalProperties"])
    image["properties"] = {"extends": {**name, "description": EXTENDS}, **image["properties"]}
    image["anyOf"] = [{"required": ["extends"]}, {"required": image.pop("required")}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "images.schema.json",
        **schema,
        "title": "goldbake's images.yaml",
        "$defs": dict(sorted(definitions.items())),
    }


def _tidy(schema: Schema) -> None:
    """Take out the titles that pydantic makes of the keys' names, and the line breaks of docstrings."""
    for value in schema.get("properties", {}).values():
        value.pop("title", None)
        if "patternProperties" in value:
            value["additionalProperties"] = False  # pydantic lets names pass that its own pattern refuses
        if "description" in value:
            value["description"] = " ".join(value["description"].split())
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())


def reference() -> str:
    """The page about images.yaml: every key with its type, its default, what it may be, and what it means."""
    schema = json_schema()
    definitions: Schema = schema["$defs"]
    parts = [_INTRODUCTION, _section("The file", "", schema, schema["required"], definitions)]
    image = definitions["Image"]
    parts.append(_section("images.NAME", image["description"], image, image["anyOf"][1]["required"], definitions))
    return "\n".join([*parts, *_inner("images.NAME", image, definitions), _support()])


def _inner(heading: str, schema: Schema, definitions: Schema) -> Iterator[str]:
    """A section for each key that holds models, and for what is in those."""
    for key, value in schema["properties"].items():
        if definition := _model(value, definitions):
            below = f"{heading}.{key}{'[]' if value.get('type') == 'array' else ''}"
            yield _section(below, definition["description"], definition, definition.get("required", []), definitions)
            yield from _inner(below, definition, definitions)


def _section(heading: str, text: str, schema: Schema, required: list[str], definitions: Schema) -> str:
    rows = [_row(key, value, key in required, definitions) for key, value in schema["properties"].items()]
    lead = f"{text}\n\n" if text else ""
    return f"## {heading}\n\n{lead}| Key | Type | Default | Meaning |\n|---|---|---|---|\n" + "".join(rows)


def _row(key: str, value: Schema, required: bool, definitions: Schema) -> str:
    model = _model(value, definitions)
    meaning = value.get("description") or (model["description"] if model else "")
    default = "**required**" if required else _default(value)
    return f"| `{key}` | {_cell(_type(value, definitions))} | {_cell(default)} | {_cell(meaning)} |\n"


def _default(value: Schema) -> str:
    if "default" not in value:
        return "–"
    if isinstance(value["default"], dict):
        return "see below" if value["default"] else "none"
    if value["default"] in ("", []):
        return "none"
    return f"`{json.dumps(value['default']).strip(chr(34))}`"


def _model(value: Schema, definitions: Schema) -> Schema | None:
    """The model that a key, or each item of its list, holds."""
    target: Schema = _target(value.get("items", value), definitions)
    return target if "properties" in target else None


def _target(value: Schema, definitions: Schema) -> Schema:
    found: Schema = definitions[value["$ref"].rpartition("/")[2]] if "$ref" in value else value
    return found


def _type(value: Schema, definitions: Schema) -> str:
    target = _target(value, definitions)
    if "enum" in target:
        return " or ".join(f"`{choice}`" for choice in target["enum"])
    if target["type"] == "array":
        kind = "list, not empty, of" if target.get("minItems") else "list of"
        return f"{kind}: {_type(target['items'], definitions)}"
    if target["type"] == "object":
        return "mapping" if "properties" in target else "mapping by name"
    words = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}[target["type"]]
    return " ".join([words, *_limits(target)])


def _limits(target: Schema) -> Iterator[str]:
    if "pattern" in target:
        yield f"like `{target['pattern']}`"
    if "maxLength" in target:
        yield f"of {target['minLength']} to {target['maxLength']} characters"
    if "maximum" in target:
        yield f"from {target['minimum']} to {target['maximum']}"


def _support() -> str:
    """What the rules refuse, from their own tables."""
    rows = "".join(
        f"| `{gpu}` | {support.architecture} | {' or '.join(f'`{module}`' for module in sorted(support.modules))} "
        f"| {support.first} | {support.last or '–'} |\n"
        for gpu, support in SUPPORT.items()
    )
    systems = ", ".join(f"`{system}` has branch {branch}" for system, (branch, _) in DEBIAN_DRIVER.items())
    return f"""\
## What works together

What is not in this table is refused when images.yaml is read. One image holds one kernel module, so GPUs without a common module need
images of their own.

| GPU | Architecture | `driver.module` | First branch | Last branch |
|---|---|---|---|---|
{rows}
- `driver.source: debian` and `docker.source: debian` are for Debian only; of the driver, {systems}.
- `driver.variant: grid` is for Azure only, and needed there for {" and ".join(f"`{gpu}`" for gpu in AZURE_GRID)}.
- `secure_boot: true` is for {" and ".join(f"`{cloud}`" for cloud in sorted(SECURE_BOOT))} only: DKMS builds the driver's modules, and firmware elsewhere trusts no key of ours.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write(folder: Path = FOLDER) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images.schema.json").write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "images.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write()
