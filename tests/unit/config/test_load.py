"""images.yaml is read with every problem told at once, in our words, with its line; nothing makes a traceback."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goldbake.config.explain import _FORMS, explanation
from goldbake.config.load import dump_lock, load_config, load_lock
from goldbake.config.model import Cloud, Config, Image, Lock, Pin
from goldbake.config.yaml_tree import MAX_BYTES
from goldbake.errors import ConfigError, Exit
from goldbake.paths import PROJECT
from tests.unit.config.documents import GOOD, write


def loaded(folder: Path, text: str | bytes) -> Config:
    return load_config(*write(folder, text))


def refused(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the message about a wrong images.yaml."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    assert caught.value.hint == "correct images.yaml; every key is explained in docs/reference/images.md"
    assert caught.value.exit_code is Exit.USAGE
    return caught.value.message.splitlines()


def test_a_right_file_is_a_config(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD)
    image = config.images["base"]
    assert image.clouds == (Cloud.AWS, Cloud.LOCAL)
    assert image.driver.version == "580.159.04"
    assert image.scripts == ("one", "two", "three")
    assert (image.disk_gib, image.secure_boot, image.aws.region) == (16, False, "us-east-1")


VERSION = "write numbers with dots, as 580.159.04"
NAME = "lower-case letters, digits and hyphens, 3 to 40 characters, a letter first, no hyphen last"
GPUS = "k80, p4, p100, v100, t4, a10, a10g, a100, l4, l40s, h100, h200, gh200, b200, b300, rtx-pro-6000, rtx-pro-4500"
OSES = "debian-12, debian-13, ubuntu-22.04, ubuntu-24.04"

BROKEN = {
    "a branch for a version": ("580.159.04", "'580'", f"7: images.base.driver.version: '580' is no exact version; {VERSION}"),
    "latest": ("28.2.2", "latest", f"8: images.base.docker.version: 'latest' is no exact version; {VERSION}"),
    "a range": ("28.2.2", '">=28.2"', f"8: images.base.docker.version: '>=28.2' is no exact version; {VERSION}"),
    "a version that YAML reads as a fraction": (
        "580.159.04",
        "580.15",
        f'7: images.base.driver.version: 580.15 is read as a number; {VERSION}; quote it to have it as text: "580.15"',
    ),
    "a version whose zero would be lost": (
        "1.19.1",
        "1.10",
        f'9: images.base.toolkit.version: 1.10 is read as a number; {VERSION}; quote it to have it as text: "1.10"',
    ),
    "a version that YAML reads as a whole number": (
        "580.159.04",
        "580",
        f'7: images.base.driver.version: 580 is read as a whole number; {VERSION}; quote it to have it as text: "580"',
    ),
    "a version that YAML reads as a date": (
        "4.275.0",
        "2024-01-02",
        f'10: images.base.agent.version: 2024-01-02 is read as a date; {VERSION}; quote it to have it as text: "2024-01-02"',
    ),
    "no version at all": (
        "4.275.0",
        "",
        "10: images.base.agent.version: nothing cannot stand here; write text",
    ),
    "not a number": (
        "a test",
        ".nan",
        '3: images.base.description: .nan is read as a number; quote it to have it as text: ".nan"',
    ),
    "an os that is a number": ("debian-12", "24.04", f"4: images.base.os: 24.04 is not valid; valid: {OSES}"),
    "an unknown os": ("debian-12", "debian12", f"4: images.base.os: 'debian12' is unknown; did you mean 'debian-12'? valid: {OSES}"),
    "an unknown cloud": (
        "[aws, local]",
        "[aws, lokal]",
        "5: images.base.clouds[1]: 'lokal' is unknown; did you mean 'local'? valid: aws, gcp, azure, local",
    ),
    "no cloud": ("[aws, local]", "[]", "5: images.base.clouds: it is empty; name at least one"),
    "a cloud outside of a list": ("[aws, local]", "aws", "5: images.base.clouds: 'aws' cannot stand here; write a list, as [a, b]"),
    "an unknown gpu": ("[t4, a100]", "[t4, a1000]", f"6: images.base.gpus[1]: 'a1000' is unknown; did you mean 'a100'? valid: {GPUS}"),
    "an unknown source": (
        "source: nvidia",
        "source: nvida",
        "7: images.base.driver.source: 'nvida' is unknown; did you mean 'nvidia'? valid: nvidia, debian",
    ),
    "a list in place of a mapping": (
        "{version: 4.275.0}",
        "[4.275.0]",
        "10: images.base.agent: a list cannot stand here; write a mapping, as {key: value}",
    ),
    "text in place of a mapping": (
        "{version: 4.275.0}",
        "4.275.0",
        "10: images.base.agent: '4.275.0' cannot stand here; write a mapping, as {key: value}",
    ),
    "an unknown key": (
        "disk_gib",
        "disk_gb",
        "11: images.base: there is no key 'disk_gb'; did you mean 'disk_gib'? keys: description, os, clouds, gpus, driver, docker, "
        "toolkit, agent, disk_gib, secure_boot, layers, aws, gcp, azure, extends",
    ),
    "an unknown key in a mapping": (
        "module: open",
        "module: open, modul: open",
        "7: images.base.driver: there is no key 'modul'; did you mean 'module'? keys: source, version, module, variant",
    ),
    "a missing key": ("    os: debian-12\n", "", "2: images.base: the key 'os' is missing; add it (The operating system)"),
    "a missing mapping": (
        "    agent: {version: 4.275.0}\n",
        "",
        "2: images.base: the key 'agent' is missing; add it (The Azure Pipelines agent; its download's SHA-256 stands in …)",
    ),
    "a missing key in a list": (
        "name: finish\n        ",
        "",
        "16: images.base.layers[1]: the key 'name' is missing; add it (The layer's name in progress and timings)",
    ),
    "a disk that is too small": ("disk_gib: 16", "disk_gib: 2", "11: images.base.disk_gib: 2 is too small; at least 4"),
    "a huge whole number": (
        "disk_gib: 16",
        f"disk_gib: {'9' * 200}",
        f"11: images.base.disk_gib: {'9' * 60}… is too large; at most 2048",
    ),
    "a number beyond all reading": (
        "disk_gib: 16",
        f"disk_gib: {'9' * 5000}",
        f"11: images.base.disk_gib: '{'9' * 60}…' is too long: 5000 characters; at most 1000",
    ),
    "an octal number": (
        "disk_gib: 16",
        "disk_gib: 020",
        "11: images.base.disk_gib: 020 is no whole number; write it with digits only, as 32",
    ),
    "a number in quotes": (
        "disk_gib: 16",
        "disk_gib: '16'",
        "11: images.base.disk_gib: '16' is no whole number; write it with digits only, as 32",
    ),
    "a fraction": ("disk_gib: 16", "disk_gib: 16.0", "11: images.base.disk_gib: 16.0 is no whole number; write it with digits only, as 32"),
    "yes for true": ("secure_boot: false", "secure_boot: yes", "12: images.base.secure_boot: yes is not clear; write true or false"),
    "true in quotes": ("secure_boot: false", "secure_boot: 'no'", "12: images.base.secure_boot: 'no' is not clear; write true or false"),
    "one for true": ("secure_boot: false", "secure_boot: 1", "12: images.base.secure_boot: 1 cannot stand here; write true or false"),
    "yes for text": ("a test", "yes", '3: images.base.description: yes is read as true or false; quote it to have it as text: "yes"'),
    "an empty description": ("a test", "''", "3: images.base.description: it is empty; write something"),
    "a long description": ("a test", "x" * 201, "3: images.base.description: 201 characters are too many; at most 200"),
    "a description of two lines": (
        "a test",
        "|\n      one\n      two",
        "3: images.base.description: 'one\\ntwo\\n' holds a line break; write it on one line",
    ),
    "a control character": (
        "a test",
        '"a\\0b"',
        "3: images.base.description: 'a\\x00b' holds the control character U+0000; write it on one line",
    ),
    "half a character": (
        "a test",
        '"\\ud800"',
        "3: images.base.description: '\\ud800' holds the control character U+D800; write it on one line",
    ),
    "an image's name": ("  base:", "  Base:", f"2: images: 'Base' is no image's name; {NAME}"),
    "an image's name that is a number": (
        "  base:",
        "  123:",
        '2: images: a key must be text; 123 is read as a whole number, so quote it: "123"',
    ),
    "an image's name that is a truth": (
        "  base:",
        "  yes:",
        '2: images: a key must be text; yes is read as true or false, so quote it: "yes"',
    ),
    "an image's name that is nothing": ("  base:", "  ~:", "2: images: a key must be text; '~' is read as nothing"),
    "an image's name that is a list": ("  base:", "  ? [a, b]\n  :", "2: images: a key must be text, not a list"),
    "an image that is nothing": (
        GOOD[GOOD.index("    desc") :],
        "",
        "2: images.base: nothing cannot stand here; write a mapping, as {key: value}",
    ),
    "a layer's name": (
        "name: finish",
        "name: Finish it",
        "16: images.base.layers[1].name: 'Finish it' is no layer's name; "
        "lower-case letters, digits and hyphens, a letter first, at most 31",
    ),
    "a layer twice": (
        "name: finish",
        "name: system",
        "16: images.base.layers[1].name: there is already a layer 'system'; give this one another name",
    ),
    "an unknown script": (
        "[three]",
        "[install-drivers]",
        "17: images.base.layers[1].scripts[0]: there is no image-scripts/install-drivers.sh; did you mean 'install-driver'? "
        "scripts: install-driver, one, three, two",
    ),
    "a script with its ending": ("[three]", "[three.sh]", "17: images.base.layers[1].scripts[0]: write 'three.sh' without `.sh`"),
    "a script outside": (
        "[three]",
        "[../three]",
        "17: images.base.layers[1].scripts[0]: there is no image-scripts/../three.sh; did you mean 'three'? "
        "scripts: install-driver, one, three, two",
    ),
    "a script twice": ("[three]", "[three, one]", "17: images.base.layers[1].scripts[1]: 'one' runs already in layer system; name it once"),
    "a layer without scripts": ("[three]", "[]", "17: images.base.layers[1].scripts: it is empty; name at least one"),
    "a key twice": ("    disk_gib: 16", "    os: debian-12", "11: images.base.os: the key stands already in line 4; remove one of the two"),
    "an anchor": (
        "[aws, local]",
        "&clouds [aws, local]",
        "5: images.base.clouds: the anchor '&clouds' is not supported; remove it, and use `extends` to share keys",
    ),
    "an alias": (
        "a test",
        "*other",
        "3: images.base.description: the alias '*other' is not supported; repeat the value, or use `extends` to share keys",
    ),
    "a merge key": (
        "    disk_gib: 16",
        "    <<: {disk_gib: 16}",
        "11: images.base: the merge key '<<' is not supported; use `extends` to share keys",
    ),
    "a tag of Python's": (
        "a test",
        "!!python/object/apply:os.system [id]",
        "3: images.base.description: the tag '!!python/object/apply:os.system' is not supported; remove it",
    ),
    "a tag of one's own": ("a test", "!env NAME", "3: images.base.description: the tag '!env' is not supported; remove it"),
    "a region": (
        "    disk_gib: 16",
        "    aws: {region: Frankfurt}",
        "11: images.base.aws.region: 'Frankfurt' is no AWS region; as us-east-1",
    ),
    "a default of no cloud": (
        "images:",
        "defaults: {lokal: base}\nimages:",
        "1: defaults: 'lokal' is unknown; did you mean 'local'? valid: aws, gcp, azure, local",
    ),
    "a default that is no image": (
        "images:",
        "defaults: {local: bose}\nimages:",
        "1: defaults.local: there is no image 'bose'; did you mean 'base'? images for local: base",
    ),
    "a default for another cloud": (
        "images:",
        "defaults: {gcp: base}\nimages:",
        "1: defaults.gcp: 'base' is not for gcp; add it to the image's clouds; images for gcp: none",
    ),
    "an unknown key at the top": (
        "images:",
        "image: {}\nimages:",
        "1: there is no key 'image'; did you mean 'images'? keys: images, defaults",
    ),
    "extends nothing known": (
        "    os:",
        "    extends: bose\n    os:",
        "4: images.base.extends: there is no image 'bose'; images: none",
    ),
    "extends itself": (
        "    os:",
        "    extends: base\n    os:",
        "4: images.base.extends: base → base is a circle; one of them must stand alone",
    ),
    "extends an alias": (
        "    os:",
        "    extends: *base\n    os:",
        "4: images.base.extends: the alias '*base' is not supported; repeat the value, or use `extends` to share keys",
    ),
    "extends a list": (
        "    os:",
        "    extends: [base]\n    os:",
        "4: images.base.extends: a list is no image's name; write the name of the image to extend",
    ),
    "no YAML": (
        "a test",
        "{a: test",
        "4: this is no YAML: while parsing a flow mapping, expected ',' or '}', but got ':'; correct the line",
    ),
    "a tab": (
        "    os:",
        "\tos:",
        "4: this is no YAML: while scanning for the next token, found character '\\t' that cannot start any token; correct the line",
    ),
    "a second document": ("    disk_gib", "---\n    disk_gib", "11: a second document begins here; remove the line `---`"),
    "a deep nest": ("a test", "[" * 2000, "3: more than 16 levels of nesting; no key stands that deep"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_mistake_is_one_line_with_its_place_and_the_way_out(tmp_path: Path, kind: str) -> None:
    right, wrong, line = BROKEN[kind]
    assert GOOD.count(right) == 1, "the mistake must be made once"
    assert refused(tmp_path, GOOD.replace(right, wrong)) == [f"images.yaml:{line}"]


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = GOOD.replace("[t4, a100]", "[t5]").replace("28.2.2", "28").replace("[three]", "[four]").replace("open", "proprietary", 1)
    lines = refused(tmp_path, text + "  other: {description: nothing else}\n")
    assert [line.split(": ")[:2] for line in lines] == [
        ["images.yaml:6", "images.base.gpus[0]"],
        ["images.yaml:8", "images.base.docker.version"],
        *[["images.yaml:18", "images.other"]] * 8,
    ]


def test_the_rules_and_scripts_of_a_right_image_are_checked_beside_a_wrong_one(tmp_path: Path) -> None:
    wrong = "  other: {extends: base, os: debian-99}\n"
    lines = refused(tmp_path, GOOD.replace("[t4, a100]", "[v100]").replace("[three]", "[four]") + wrong)
    assert lines == [
        "images.yaml:7: images.base.driver.module: open cannot drive v100 (Volta); write proprietary",
        "images.yaml:17: images.base.layers[1].scripts[0]: there is no image-scripts/four.sh; scripts: install-driver, one, three, two",
        f"images.yaml:18: images.other.os: 'debian-99' is unknown; did you mean 'debian-13'? valid: {OSES}",
    ]


CHAIN = """\
  middle:
    extends: base
    driver: {source: nvidia, version: 595.1.2, module: open}
  last:
    extends: middle
    os: ubuntu-24.04
"""


def test_an_image_has_the_keys_of_the_one_it_extends(tmp_path: Path) -> None:
    images = loaded(tmp_path, GOOD + CHAIN).images
    base, last = images["base"], images["last"]
    assert last.driver.version == "595.1.2"
    assert last.os.value == "ubuntu-24.04"
    assert last.layers == base.layers
    assert base.driver.version == "580.159.04"


def test_an_image_may_extend_one_that_stands_below_it(tmp_path: Path) -> None:
    first = "  first: {extends: base, disk_gib: 20}\n"
    assert loaded(tmp_path, GOOD.replace("images:\n", f"images:\n{first}")).images["first"].disk_gib == 20


def test_a_mapping_replaces_the_whole_mapping(tmp_path: Path) -> None:
    lines = refused(tmp_path, GOOD + "  other:\n    extends: base\n    driver: {version: 580.159.04}\n")
    assert [line.split("; ")[0] for line in lines] == [
        "images.yaml:20: images.other.driver: the key 'source' is missing",
        "images.yaml:20: images.other.driver: the key 'module' is missing",
    ]


def test_an_inherited_mistake_is_told_once_where_it_stands(tmp_path: Path) -> None:
    lines = refused(tmp_path, GOOD.replace("28.2.2", "28.x").replace("    os: debian-12\n", "") + CHAIN)
    assert lines == [
        "images.yaml:2: images.base: the key 'os' is missing; add it (The operating system)",
        f"images.yaml:7: images.base.docker.version: '28.x' is no exact version; {VERSION}",
    ]


def test_a_combination_is_told_for_the_image_at_the_line_of_the_inherited_value(tmp_path: Path) -> None:
    lines = refused(tmp_path, GOOD + "  other: {extends: base, gpus: [v100]}\n")
    assert lines == ["images.yaml:7: images.other.driver.module: open cannot drive v100 (Volta); write proprietary"]


def test_a_circle_is_told_once_and_what_runs_into_it_is_not(tmp_path: Path) -> None:
    circle = "  one: {extends: two}\n  two: {extends: three}\n  three: {extends: one}\n  four: {extends: one}\n"
    assert refused(tmp_path, GOOD + circle) == [
        "images.yaml:18: images.one.extends: one → two → three → one is a circle; one of them must stand alone"
    ]


def test_an_image_that_extends_a_broken_one_is_no_second_mistake(tmp_path: Path) -> None:
    lines = refused(tmp_path, GOOD + "  broken: 5\n  other: {extends: broken}\n")
    assert lines == ["images.yaml:18: images.broken: 5 cannot stand here; write a mapping, as {key: value}"]


def test_a_long_chain_of_images_is_read(tmp_path: Path) -> None:
    chain = "".join(f"  image-{n}: {{extends: image-{n - 1}}}\n" for n in range(1, 301))
    images = loaded(tmp_path, GOOD.replace("  base:", "  image-0:") + chain).images
    assert images["image-300"] == images["image-0"]


def test_a_default_is_kept(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"defaults: {{local: base}}\n{GOOD}").defaults == {Cloud.LOCAL: "base"}


WHOLE = {
    "nothing": (b"", ": the file is empty"),
    "a comment": (b"# nothing\n", ": the file is empty"),
    "an empty document": (b"---\n", ": the file is empty"),
    "a list": (b"- a\n", ":1: the file must hold a mapping of keys to values, not a list"),
    "text": (b"hello\n", ":1: the file must hold a mapping of keys to values, not 'hello'"),
    "no UTF-8": (b"images:\n  \xff: 1\n", ":2: byte 0xff is no UTF-8; save the file as UTF-8"),
    "UTF-16": ("images: {}".encode("utf-16"), ":1: byte 0xff is no UTF-8; save the file as UTF-8"),
    "a NUL": (b"images:\n  a\0b: 1\n", ":2: the character U+0000 is not allowed in YAML; remove it"),
    "an escape": (b"images: \x1b[0m\n", ":1: the character U+001B is not allowed in YAML; remove it"),
    "too many bytes": (b"#" * (MAX_BYTES + 1), ": 1000001 bytes are too many; 1000000 are read"),
    "no images": (b"images: {}\n", ":1: images: it is empty; name at least one"),
    "images in a list": (b"images: []\n", ":1: images: a list cannot stand here; write a mapping, as {key: value}"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_that_is_wrong_as_a_whole(tmp_path: Path, kind: str) -> None:
    data, line = WHOLE[kind]
    assert refused(tmp_path, data) == [f"images.yaml{line}"]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"{path} cannot be read: {reason}") as caught:
            load_config(path, tmp_path)
        assert caught.value.hint == f"create {path.name}, or run this in goldbake's checkout"


def test_a_byte_order_mark_and_other_line_ends_are_no_mistake(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n")) == loaded(tmp_path, GOOD)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "billion laughs": BOMB,
    "an alias to its own list": "images: &a [*a]\n",
    "an alias to its own mapping": "images: &a\n  b: *a\n",
    "an alias as a key": "images: {*a : 1}\n",
    "deep lists": "[" * 100_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "- " * 100_000,
    "deep keys": "? " * 100_000,
    "a character that is none": '"\\UFFFFFFFF"',
    "a version of YAML": f"%YAML 1.{'9' * 5000}\n---\na",
    "an object": "!!python/object/new:os._exit [0]",
    "a set": "images: !!set {a, b}",
    "binary": "images: !!binary aGVsbG8=",
    "a long key": f"? {'k' * 5000}\n: 1",
    "infinity": "images: .inf",
    "an impossible date": "images: 2024-99-99",
    "sixty": "images: 190:20:30",
    "half a character in a key": 'images: {"\\ud800": 1}',
    "a value mark": "images: {=: =}",
    "a merge mark as a value": "images: <<",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    begun = time.monotonic()
    lines = refused(tmp_path, HOSTILE[kind])
    assert time.monotonic() - begun < 30  # seconds; a file whose size explodes needs hours
    assert lines
    assert all(line.startswith("images.yaml:") and line.isprintable() for line in lines)


def outcome(data: bytes) -> ConfigError | Config:
    """What reading `data` comes to; anything but a Config or a ConfigError is raised."""
    found: ConfigError | Config
    with TemporaryDirectory() as folder:
        try:
            found = loaded(Path(folder), data)
        except ConfigError as error:
            found = error
    if isinstance(found, ConfigError):
        assert found.hint
        assert "pydantic" not in found.message
        assert all(line.startswith("images.yaml:") and line.isprintable() for line in found.message.split("\n"))
    return found


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(b"%\n")
@example(b"!<\n")
@example(b"--- |\n %TAG\n")
@example(b"? !!!!\n")
def test_no_bytes_make_a_traceback(data: bytes) -> None:
    assert isinstance(outcome(data), ConfigError)


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("abi:-?[]{},&*!|>'\"%@`#<=~.09 \n\t\\xuU")))
def test_no_marks_of_yaml_make_a_traceback(text: str) -> None:
    assert isinstance(outcome(text.encode()), ConfigError)


WORDS = sorted({*Config.model_fields, *Image.model_fields, "extends", "version", "source", "base", "aws", "580.1.2", "nvidia", "one"})
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=5), st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=3), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_no_data_make_a_traceback(value: object) -> None:
    outcome(yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(Image.model_fields)), VALUES)
def test_no_value_in_an_image_makes_a_traceback(key: str, value: object) -> None:
    data = yaml.safe_load(GOOD)
    data["images"]["base"][key] = value
    outcome(yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass"))


def test_no_cut_or_changed_byte_of_the_real_file_makes_a_traceback() -> None:
    data = (PROJECT / "images.yaml").read_bytes()
    chance = random.Random(3)
    for _ in range(60):
        at = chance.randrange(len(data))
        outcome(data[:at])
        outcome(data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :])


def test_the_form_of_every_pattern_is_explained() -> None:
    """A key with a pattern has words of its own, so no message is `not valid`."""
    schema = Config.model_json_schema()
    models = [*schema["$defs"].values(), Pin.model_json_schema()]
    with_pattern = {
        _cloud_of(model) + key for model in models for key, value in model.get("properties", {}).items() if "pattern" in json.dumps(value)
    }
    assert with_pattern == set(_FORMS)


def _cloud_of(model: dict[str, Any]) -> str:
    found = re.match(r"Aws|Gcp|Azure", model["title"])
    return f"{found[0].lower()}." if found else ""


def test_a_finding_without_words_of_its_own_still_says_what_stands_there() -> None:
    from goldbake.config.yaml_tree import read  # noqa: PLC0415

    root, _ = read(b"images: 5\n")
    assert root is not None
    detail = {"type": "from_the_future", "loc": ("images",), "msg": "", "input": None}
    assert [mistake.text for mistake in explanation(detail, Config, root)] == ["5 cannot stand here; write something else"]  # type: ignore[arg-type]


def test_the_projects_own_files_are_right_and_read_fast() -> None:
    begun = time.process_time()
    config = load_config(PROJECT / "images.yaml", PROJECT / "image-scripts")
    assert time.process_time() - begun < 0.5  # 0.02 s; the rest is for a machine that does other things as well
    assert {"gpu-agent", "gpu-agent-distro"} <= set(config.images)
    lock = PROJECT / "images.lock.yaml"
    assert dump_lock(load_lock(lock)) == lock.read_text(encoding="utf-8")


def test_a_lock_has_its_pins_sorted_and_nothing_empty() -> None:
    pins = {"z": Pin(version="1.10"), "a": Pin(version="stable", url="https://example.org/a", sha256="1" * 64)}
    text = dump_lock(Lock(pins=pins))
    assert text.splitlines()[2:] == [
        "pins:",
        "  a:",
        "    version: stable",
        "    url: https://example.org/a",
        f"    sha256: '{'1' * 64}'",
        "  z:",
        "    version: '1.10'",
    ]


PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"), max_size=200)
PINS = st.builds(
    Pin,
    version=PLAIN,
    url=PLAIN,
    sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    fingerprint=st.none() | st.text("0123456789ABCDEF", min_size=40, max_size=40),
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(PLAIN, PINS, max_size=4))
def test_a_lock_is_read_as_it_was_written(pins: dict[str, Pin]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "images.lock.yaml"
        path.write_text(dump_lock(Lock(pins=pins)), encoding="utf-8")
        assert load_lock(path) == Lock(pins=pins)


def test_a_wrong_lock_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "images.lock.yaml"
    path.write_text("pins:\n  a:\n    version: 1.10\n    sha256: abc\n  b:\n    url: x\n    key: y\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_lock(path)
    assert caught.value.message.splitlines() == [
        f'images.lock.yaml:3: pins.a.version: 1.10 is read as a number; {VERSION}; quote it to have it as text: "1.10"',
        "images.lock.yaml:4: pins.a.sha256: 'abc' is no SHA-256; 64 digits 0-9 a-f",
        "images.lock.yaml:5: pins.b: the key 'version' is missing; add it (The version as asked for in images.yaml, or of the tool)",
        "images.lock.yaml:7: pins.b: there is no key 'key'; keys: version, url, sha256, fingerprint",
    ]
    assert "./inv pin" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{region: Virginia}", "region: 'Virginia' is no AWS region; as us-east-1"),
        ("{subnet: sub-1}", "subnet: 'sub-1' is no subnet's id; as subnet-0123456789abcdef0"),
        ("{ssh_from: [0.0.0.0/0]}", "ssh_from[0]: '0.0.0.0/0' is no block of addresses; as 192.0.2.10/32; not the whole Internet"),
        ("{volume_throughput: 1000}", "volume_throughput: 1000 is too large; at most 750"),
        ("{boot_mode: bios}", "boot_mode: 'bios' is unknown; valid: any, legacy-bios, uefi, uefi-preferred"),
        (
            "{share_with: [me]}",
            "share_with[0]: 'me' is neither an AWS account nor an organization; 12 digits, or the ARN of an organization or organizational unit",
        ),
        (
            "{copies: [{region: eu-west-1, key: x}]}",
            "copies[0]: there is no key 'key'; did you mean 'kms_key'? keys: region, kms_key",
        ),
    ],
)
def test_a_wrong_setting_of_aws_is_told_with_its_line_and_key(tmp_path: Path, settings: str, told: str) -> None:
    lines = refused(tmp_path, GOOD.replace("    secure_boot: false\n", f"    secure_boot: false\n    aws: {settings}\n"))
    assert [line.removeprefix("images.yaml:13: images.base.aws.") for line in lines] == [told]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{project: '4711'}", "project: '4711' is no project's id; its id, not its number or name: 6 to 30 lower-case letters, digits and hyphens, "
         "as render-farm-417"),
        ("{region: us-central1-a}", "region: 'us-central1-a' is no Google Cloud region; as us-central1"),
        ("{zones: [us-central1]}", "zones[0]: 'us-central1' is no Google Cloud zone; as us-central1-a"),
        ("{labels: {Team: x}}", "labels: 'Team' is no label's name; lower-case letters, digits, _ and -, a letter first, at most 63"),
        ("{labels: {team: X}}", "labels.team: 'X' is no label's value; lower-case letters, digits, _ and -, at most 63"),
        ("{share_with: [allUsers]}", "share_with[0]: 'allUsers' is nobody that Google Cloud knows; user:ADDRESS, group:ADDRESS, "
         "serviceAccount:ADDRESS or domain:DOMAIN; not everybody"),
        ("{accelerator: nvidia-l4}", "accelerator: 'nvidia-l4' is no accelerator that N1 can have; nvidia-tesla-t4, nvidia-tesla-p4, "
         "nvidia-tesla-p100 or nvidia-tesla-v100"),
        ("{guest_os_features: [WINDOWS]}", "guest_os_features[0]: 'WINDOWS' is unknown; valid: GVNIC, IDPF, MULTI_IP_SUBNET, SEV_CAPABLE, "
         "SEV_LIVE_MIGRATABLE_V2, SEV_SNP_CAPABLE, TDX_CAPABLE, UEFI_COMPATIBLE, VIRTIO_SCSI_MULTIQUEUE"),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_google_cloud_is_told_with_its_line_and_key(tmp_path: Path, settings: str, told: str) -> None:
    lines = refused(tmp_path, GOOD.replace("    secure_boot: false\n", f"    secure_boot: false\n    gcp: {settings}\n"))
    assert [line.removeprefix("images.yaml:13: images.base.gcp.") for line in lines] == [told]
