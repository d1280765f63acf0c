"""images.yaml → Config, images.lock.yaml → Lock and back; every problem is told at once, with its line, key and way out."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from goldbake.config.explain import explanation
from goldbake.config.model import Cloud, Config, Image, Lock
from goldbake.config.rules import problems
from goldbake.config.yaml_tree import Keys, Kind, Mistake, Node, quoted, read, shortened
from goldbake.errors import ConfigError

LOCK_HEADER = """\
# What images.yaml resolved to. Written by `./inv pin`, reviewed like code. A pin without sha256 or fingerprint is unresolved:
# it renders, and a bake that needs it stops before it costs anything.
"""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CONFIG_HINT = "correct {name}; every key is explained in docs/reference/images.md"
_LOCK_HINT = "{name} is written by `./inv pin`: take the committed one back with git, and pin again what is missing"

Model = TypeVar("Model", bound=BaseModel)


def load_config(path: Path, scripts: Path) -> Config:
    """Read images.yaml. `scripts` is the folder in which the layers' scripts must exist.

    Raises ConfigError, whose message has one line per problem.
    """
    hint = _CONFIG_HINT.format(name=path.name)
    root, mistakes = _root(path, hint)
    own = {name: set(node.entries) for name, node in _images(root).items()}
    mistakes += _extend(root)
    config, found = _validated(Config, root)
    mistakes += [mistake for mistake in found if not _inherited(mistake.keys, own)]
    known = {file.stem for file in scripts.glob("*.sh")}
    for name, node in _images(root).items():
        image, _ = _validated(Image, node)
        if image is not None:
            mistakes += [_placed(root, ("images", name, *keys), text) for keys, text in _image_problems(name, image, known)]
    mistakes += _defaults(root)
    if config is None or mistakes:
        raise _error(path, mistakes, hint)
    return config


def load_lock(path: Path) -> Lock:
    """Read images.lock.yaml. Raises ConfigError, whose message has one line per problem."""
    hint = _LOCK_HINT.format(name=path.name)
    root, mistakes = _root(path, hint)
    lock, found = _validated(Lock, root)
    if lock is None or mistakes or found:
        raise _error(path, mistakes + found, hint)
    return lock


def dump_lock(lock: Lock) -> str:
    """The text of images.lock.yaml: pins sorted by name, keys in the model's order, empty ones left out."""
    pins = {name: {key: value for key, value in pin.model_dump().items() if key == "version" or value} for name, pin in lock.pins.items()}
    data = {"pins": dict(sorted(pins.items()))}
    return LOCK_HEADER + yaml.safe_dump(data, sort_keys=False, default_flow_style=False, allow_unicode=True, width=2**31)


def _root(path: Path, hint: str) -> tuple[Node, list[Mistake]]:
    """The file's tree and the mistakes of its form. Raises ConfigError when there is nothing to go on with."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"{path} cannot be read: {reason}", hint=f"create {path.name}, or run this in goldbake's checkout") from error
    root, mistakes = read(data)
    if root is not None and root.kind is Kind.NOTHING:
        mistakes.append(Mistake(0, (), "the file is empty"))
    elif root is not None and root.kind not in (Kind.MAPPING, Kind.REFUSED):
        mistakes.append(Mistake(root.line, (), f"the file must hold a mapping of keys to values, not {root.shown}"))
    if root is None or root.kind is not Kind.MAPPING:
        raise _error(path, mistakes, hint)
    return root, mistakes


def _error(path: Path, mistakes: Iterable[Mistake], hint: str) -> ConfigError:
    lines = [
        f"{path.name}{f':{line}' if line else ''}: {f'{_dotted(keys)}: ' if keys else ''}{text}"
        for line, keys, text in sorted(mistakes, key=lambda mistake: mistake.line)
    ]
    return ConfigError("\n".join(dict.fromkeys(lines)) or f"{path.name}: cannot be used", hint=hint)


def _dotted(keys: Keys) -> str:
    """Keys as a person writes them: images.gpu-agent.layers[0].name"""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key if _PLAIN_KEY.fullmatch(key) else quoted(key)}"
    return text.removeprefix(".")


def _placed(root: Node, keys: Keys, text: str) -> Mistake:
    """A mistake at the line of the value, or of what should hold it."""
    return Mistake(root.find(keys)[0].line, keys, text)


def _images(root: Node) -> dict[str, Node]:
    images = root.entries.get("images")
    return {name: node for name, node in images.entries.items() if node.kind is Kind.MAPPING} if images else {}


def _extend(root: Node) -> list[Mistake]:
    """Give every image the keys of the one that it extends, and take `extends` out. The values keep their lines."""
    images = _images(root)
    mistakes: list[Mistake] = []
    parents: dict[str, str] = {}
    for name, image in images.items():
        node = image.entries.pop("extends", None)
        if node is None:
            continue
        keys: Keys = ("images", name, "extends")
        image.partial = True  # what is missing here is missing in the other one, and told there
        if node.kind is Kind.REFUSED:
            continue
        if node.kind is not Kind.TEXT:
            mistakes.append(Mistake(node.line, keys, f"{node.shown} is no image's name; write the name of the image to extend"))
        elif node.text in root.entries["images"].entries and node.text not in images:
            continue  # what stands there is no mapping, and told there
        elif node.text not in images:
            others = [other for other in images if other != name]
            mistakes.append(Mistake(node.line, keys, f"there is no image {quoted(node.text)}; {_choice(node.text, others, 'images')}"))
        else:
            parents[name] = node.text
            image.key_lines["extends"] = node.line
    done = set(images) - set(parents)
    for start in parents:
        chain: list[str] = []
        name = start
        while name not in done and name not in chain:
            chain.append(name)
            name = parents[name]
        if name not in done:  # a circle, or a chain that runs into one
            done.update(chain)
            if name == start or name in chain:
                circle = chain[chain.index(name) :]
                line = images[circle[0]].key_lines["extends"]
                text = f"{' → '.join(map(shortened, [*circle, circle[0]]))} is a circle; one of them must stand alone"
                mistakes.append(Mistake(line, ("images", circle[0], "extends"), text))
            continue
        for name in reversed(chain):
            image, parent = images[name], images[parents[name]]
            image.entries = {**parent.entries, **image.entries}
            done.add(name)
    return mistakes


def _inherited(keys: Keys, own: Mapping[str, set[str]]) -> bool:
    """Whether the problem is in a key that an image has from the one it extends: it is told there."""
    match keys:
        case ("images", str(name), str(key), *_):
            return name in own and "extends" in own[name] and key not in own[name]
    return False


def _validated(model: type[Model], node: Node) -> tuple[Model | None, list[Mistake]]:
    """The model of `node`, or what is wrong with it."""
    try:
        return model.model_validate_json(json.dumps(node.data()), strict=True), []
    except ValidationError as error:
        return None, [mistake for detail in error.errors(include_url=False) for mistake in explanation(detail, model, node)]


def _image_problems(name: str, image: Image, known: set[str]) -> Iterator[tuple[Keys, str]]:
    """What is wrong with an image whose keys are all right by themselves."""
    layers: set[str] = set()
    seen: dict[str, str] = {}
    for at, layer in enumerate(image.layers):
        if layer.name in layers:
            yield ("layers", at, "name"), f"there is already a layer {quoted(layer.name)}; give this one another name"
        layers.add(layer.name)
        for position, script in enumerate(layer.scripts):
            keys: Keys = ("layers", at, "scripts", position)
            if script not in known:
                if script.removesuffix(".sh") in known:
                    yield keys, f"write {quoted(script)} without `.sh`"
                else:
                    yield keys, f"there is no image-scripts/{shortened(script)}.sh; {_choice(script, sorted(known), 'scripts')}"
            elif script in seen:
                yield keys, f"{quoted(script)} runs already in layer {seen[script]}; name it once"
            seen.setdefault(script, layer.name)
    for problem in problems(name, image):
        yield problem.keys, f"{problem.what}; {problem.fix}"


def _defaults(root: Node) -> Iterator[Mistake]:
    """Defaults that name no image, or one that is not for that cloud."""
    defaults, images = root.entries.get("defaults"), _images(root)
    clouds = {cloud.value for cloud in Cloud}
    for cloud, node in (defaults.entries if defaults else {}).items():
        if node.kind is not Kind.TEXT or cloud not in clouds:
            continue
        keys: Keys = ("defaults", cloud)
        usable = [name for name, image in images.items() if any(item.text == cloud for item in _items(image, "clouds"))]
        if node.text not in images:
            yield Mistake(node.line, keys, f"there is no image {quoted(node.text)}; {_choice(node.text, usable, f'images for {cloud}')}")
        elif node.text not in usable:
            names = ", ".join(map(shortened, usable)) or "none"
            yield Mistake(
                node.line, keys, f"{quoted(node.text)} is not for {cloud}; add it to the image's clouds; images for {cloud}: {names}"
            )


def _items(node: Node, key: str) -> list[Node]:
    return node.entries[key].items if key in node.entries else []


def _choice(wrong: str, valid: list[str], name: str) -> str:
    """What could have been meant, and what can be."""
    close = difflib.get_close_matches(wrong[:100], valid, n=1)
    return (f"did you mean {quoted(close[0])}? " if close else "") + f"{name}: {', '.join(map(shortened, valid)) or 'none'}"
