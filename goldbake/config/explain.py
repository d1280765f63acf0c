"""The validator's findings → our words: what is wrong with the value, and what would be right."""

from __future__ import annotations

import difflib
import re
import typing
from enum import Enum

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from goldbake.config.yaml_tree import Keys, Kind, Mistake, Node, quoted, shortened

_FORMS = {
    "version": ("no exact version", "write numbers with dots, as 580.159.04"),
    "aws.region": ("no AWS region", "as us-east-1"),
    "aws.instance_type": ("no EC2 instance type", "as c7i.xlarge"),
    "aws.vpc": ("no VPC's id", "as vpc-0123456789abcdef0"),
    "aws.subnet": ("no subnet's id", "as subnet-0123456789abcdef0"),
    "aws.ssh_from": ("no block of addresses", "as 192.0.2.10/32; not the whole Internet"),
    "aws.instance_profile": ("no instance profile's name", "its name, not its ARN: letters, digits and + = , . @ _ -"),
    "aws.kms_key": ("no key of KMS", "a key id, as alias/NAME, or an ARN"),
    "aws.share_with": ("neither an AWS account nor an organization", "12 digits, or the ARN of an organization or organizational unit"),
    "gcp.project": ("no project's id", "its id, not its number or name: 6 to 30 lower-case letters, digits and hyphens, as render-farm-417"),
    "gcp.region": ("no Google Cloud region", "as us-central1"),
    "gcp.zones": ("no Google Cloud zone", "as us-central1-a"),
    "gcp.machine_type": ("no Google Cloud machine type", "as n2-standard-4"),
    "gcp.accelerator": ("no accelerator that N1 can have", "nvidia-tesla-t4, nvidia-tesla-p4, nvidia-tesla-p100 or nvidia-tesla-v100"),
    "gcp.network": ("no network's name", "its name, not its URL; the project of a Shared VPC stands in network_project"),
    "gcp.subnet": ("no subnet's name", "its name, not its URL; the project of a Shared VPC stands in network_project"),
    "gcp.network_project": ("no project's id", "the host project of the Shared VPC, as network-417"),
    "gcp.network_tags": ("no network tag", "lower-case letters, digits and hyphens, a letter first, at most 63"),
    "gcp.service_account": ("no service account's address", "as baker@PROJECT.iam.gserviceaccount.com"),
    "gcp.scopes": ("no access scope", "as https://www.googleapis.com/auth/devstorage.read_only"),
    "gcp.family": ("no image family's name", "lower-case letters, digits and hyphens, a letter first, at most 63"),
    "gcp.storage_location": ("no place for images", "a region, as us-central1, or asia, eu or us"),
    "gcp.labels": ("no label's value", "lower-case letters, digits, _ and -, at most 63"),
    "gcp.share_with": (
        "nobody that Google Cloud knows", "user:ADDRESS, group:ADDRESS, serviceAccount:ADDRESS or domain:DOMAIN; not everybody",
    ),
    "azure.location": ("no Azure region", "as eastus"),
    "azure.subscription": ("no subscription's id", "its id, not its name: as 00000000-0000-0000-0000-000000000000"),
    "azure.region": ("no Azure region", "as westeurope"),
    "azure.definition": ("no image definition's name", "letters, digits and _ . -, 2 to 80, a letter or digit at both ends"),
    "azure.subnet": (
        "no subnet's id", "the whole id, as `az network vnet subnet show … --query id` prints it: /subscriptions/…/virtualNetworks/…/subnets/…",
    ),
    "azure.ssh_from": ("no block of addresses", "as 192.0.2.10/32; not the whole Internet"),
    "azure.identities": ("no managed identity's id", "the whole id, as `az identity show … --query id` prints it"),
    "azure.vm_size": ("no Azure VM size", "as Standard_D4s_v5"),
    "azure.resource_group": ("no resource group's name", "letters, digits and _ . ( ) -, at most 90, no dot at the end"),
    "azure.gallery": ("no gallery's name", "letters, digits, _ and dots, 2 to 80, a letter or digit at both ends"),
    "name": ("no layer's name", "lower-case letters, digits and hyphens, a letter first, at most 31"),
    "sha256": ("no SHA-256", "64 digits 0-9 a-f"),
    "fingerprint": ("no key fingerprint", "40 digits 0-9 A-F"),
}  # fmt: skip
"""By key, with its cloud where it is only that one's: what a text is not whose pattern does not match, and what it should be."""
_IMAGE_NAME = ("no image's name", "lower-case letters, digits and hyphens, 3 to 40 characters, a letter first, no hyphen last")
_LABEL_NAME = ("no label's name", "lower-case letters, digits, _ and -, a letter first, at most 63")

_WANTED = {
    "string_type": Kind.TEXT,
    "int_type": Kind.WHOLE,
    "int_from_float": Kind.WHOLE,
    "int_parsing": Kind.WHOLE,
    "bool_type": Kind.TRUTH,
    "bool_parsing": Kind.TRUTH,
    "tuple_type": Kind.LIST,
    "dict_type": Kind.MAPPING,
    "model_type": Kind.MAPPING,
    "model_attributes_type": Kind.MAPPING,
}
_EXPECTED = re.compile(r"'([^']*)'")


def explanation(detail: ErrorDetails, model: type[BaseModel], root: Node) -> list[Mistake]:
    """One finding in our words; none when its place was refused already."""
    keys: Keys = detail["loc"]
    if keys and keys[-1] == "[key]":
        return [_key(detail, keys[:-1], root)]
    node, used = root.find(keys)
    if node.kind is Kind.REFUSED:
        return []
    if used < len(keys):  # the place is not there
        return [] if node.partial else [Mistake(node.line, keys[:-1], _missing(model, keys))]
    if detail["type"] == "too_short" and (node.partial or node.items or node.entries):  # wrong items are not counted; they are told
        return []
    if detail["type"] == "extra_forbidden":
        parent, _ = root.find(keys[:-1])
        line = parent.key_lines.get(str(keys[-1]), node.line)
        return [Mistake(line, keys[:-1], _unknown(model, keys))]
    return [Mistake(node.line, keys, _wrong(detail, keys, node))]


def _key(detail: ErrorDetails, keys: Keys, root: Node) -> Mistake:
    """A key of a mapping that is no name, or none of the possible ones."""
    parent, _ = root.find(keys[:-1])
    key = str(keys[-1])
    line = parent.key_lines.get(key, parent.line)
    if detail["type"] in ("enum", "literal_error"):
        return Mistake(line, keys[:-1], choice(key, _EXPECTED.findall(str(detail["ctx"]["expected"]))))
    what, fix = _LABEL_NAME if "labels" in keys[:-1] else _IMAGE_NAME
    return Mistake(line, keys[:-1], f"{quoted(key)} is {what}; {fix}")


def choice(wrong: str, valid: list[str]) -> str:
    """What is wrong, what could have been meant, and what can be."""
    close = difflib.get_close_matches(wrong[:100], valid, n=1)
    meant = f"did you mean {quoted(close[0])}? " if close else ""
    return f"{quoted(wrong)} is unknown; {meant}valid: {', '.join(valid)}"


def _wrong(detail: ErrorDetails, keys: Keys, node: Node) -> str:
    kind, limits = detail["type"], detail.get("ctx", {})
    form = _form(keys)
    what, fix = form or ("not valid", "see its description")
    if kind in ("enum", "literal_error"):
        valid = _EXPECTED.findall(str(limits["expected"]))
        return choice(node.text, valid) if node.kind is Kind.TEXT else f"{node.shown} is not valid; valid: {', '.join(valid)}"
    messages = {
        "string_pattern_mismatch": f"{node.shown} is {what}; {fix}",
        "string_too_short": "it is empty; write something",
        "string_too_long": f"{len(node.text)} characters are too many; at most {limits.get('max_length')}",
        "too_short": "it is empty; name at least one",
        "greater_than_equal": f"{node.shown} is too small; at least {limits.get('ge')}",
        "less_than_equal": f"{node.shown} is too large; at most {limits.get('le')}",
    }
    return messages.get(kind) or _other_kind(_WANTED.get(kind), node, fix if form else "")


def _form(keys: Keys) -> tuple[str, str] | None:
    """The words about a key, that of its cloud first; an item is explained by its list's name, a label's value by `labels`."""
    names = [key for key in keys if isinstance(key, str)]
    cloud = names[2] if len(names) > 3 else ""
    name = "labels" if "labels" in names[3:] else names[-1] if names else ""
    return _FORMS.get(f"{cloud}.{name}", _FORMS.get(name))


def _other_kind(wanted: Kind | None, node: Node, form: str) -> str:
    """A value of another kind than wanted; YAML's implicit types are the usual reason."""
    if wanted is Kind.TEXT and node.kind in (Kind.WHOLE, Kind.NUMBER, Kind.TRUTH, Kind.DATE):
        fix = f"{form}; " if form else ""
        return f'{node.shown} is read as {node.kind}; {fix}quote it to have it as text: "{node.shown}"'
    if wanted is Kind.TRUTH and node.kind in (Kind.TRUTH, Kind.TEXT):
        return f"{node.shown} is not clear; write true or false"
    if wanted is Kind.WHOLE:
        return f"{node.shown} is no whole number; write it with digits only, as 32"
    name = {Kind.TEXT: "text", Kind.LIST: "a list, as [a, b]", Kind.MAPPING: "a mapping, as {key: value}", None: "something else"}
    return f"{node.shown} cannot stand here; write {name.get(wanted, str(wanted))}"


def _missing(model: type[BaseModel], keys: Keys) -> str:
    """What a missing key is for."""
    holder = _holder(model, keys[:-1])
    key = str(keys[-1])
    meaning = ""
    if holder is not None and key in holder.model_fields:
        field = holder.model_fields[key]
        inner = field.annotation
        text = field.description or (inner.__doc__ if isinstance(inner, type) and issubclass(inner, BaseModel) else "") or ""
        meaning = f" ({shortened(text.strip().splitlines()[0].rstrip('.')) if text else key})"
    return f"the key {quoted(key)} is missing; add it{meaning}"


def _unknown(model: type[BaseModel], keys: Keys) -> str:
    holder = _holder(model, keys[:-1])
    valid = list(holder.model_fields) if holder else []
    if len(keys) == 3 and keys[0] == "images":
        valid.append("extends")
    close = difflib.get_close_matches(str(keys[-1])[:100], valid, n=1)
    meant = f"did you mean {quoted(close[0])}? " if close else ""
    return f"there is no key {quoted(str(keys[-1]))}; {meant}keys: {', '.join(valid)}"


def _holder(model: type[BaseModel], keys: Keys) -> type[BaseModel] | None:
    """The model that stands at `keys` of a `model`."""
    annotation: object = model
    for key in keys:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(key)].annotation if str(key) in annotation.model_fields else None
        else:  # dict[name, model] or tuple[model, ...]
            inside = [part for part in typing.get_args(annotation) if isinstance(part, type) and not issubclass(part, (str, Enum))]
            annotation = inside[0] if inside else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
