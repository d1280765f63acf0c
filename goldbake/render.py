"""BakePlan → HCL text, one folder per image and cloud.

Templates get values that are ready: quoting happens in filters, choices happen here; an `if` in a template selects a block.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

import jinja2

from goldbake import hcl
from goldbake.config import base_images
from goldbake.config.azure import AzureSettings
from goldbake.config.gcp import GcpSettings
from goldbake.config.model import Cloud
from goldbake.config.plugins import PLUGINS
from goldbake.errors import ConfigError
from goldbake.paths import PROJECT, Paths
from goldbake.plan import WRITE_MANIFEST, BakePlan

UPLOADED = "/var/tmp/goldbake"
"""Where scripts and files lie in the machine during a bake; not below /tmp, which a reboot empties."""

MANIFEST = "/usr/share/goldbake/manifest.json"
"""The manifest in an image of a cloud, as `provenance.IN_IMAGE` says it."""

CERTIFICATE = "/usr/share/goldbake/secure-boot.der"
"""The certificate of the key that has signed an image's modules, as image-scripts/make-signing-key.sh makes it."""

_LOGIN = "packer"
"""The user that Google's and Azure's guest agents make for Packer's key."""

_ANYBODY = ("0.0.0.0/0",)
"""Without a rule nobody reaches a VM behind a Standard public address."""


def render(plan: BakePlan, *, templates: Path | None = None, checking: bool = False) -> dict[str, str]:
    """The templates of a bake, or of the check of what it made, as file name → HCL text, formatted as `packer fmt` would.

    Raises ConfigError for a value that Packer cannot pass on, jinja2.UndefinedError when a template names something that is not given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates or PROJECT / "packer" / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hcl"] = hcl.literal
    environment.filters["prose"] = hcl.prose
    values = _values(plan) | {"checking": checking}
    build = "check.pkr.hcl" if checking else "build.pkr.hcl"
    wanted = {
        "variables.pkr.hcl": "variables.pkr.hcl.j2",
        "source.pkr.hcl": f"source.{plan.cloud.value}.pkr.hcl.j2",
        build: f"{build}.j2",
    }
    if plan.cloud in PLUGINS:  # a file of its own: Packer before 1.7 has every builder inside and refuses this block
        wanted["plugins.pkr.hcl"] = "plugins.pkr.hcl.j2"
    return {name: environment.get_template(template).render(values) for name, template in sorted(wanted.items())}


def write(plan: BakePlan, paths: Paths, *, checking: bool = False) -> Path:
    """Write the templates of a bake to packer/build/<image>/<cloud>/, replacing what was there in one step, and return that folder.

    Those of its check go to packer/build/<image>/<cloud>-check/.
    """
    folder = paths.build / plan.name / (plan.cloud.value + ("-check" if checking else ""))
    files = render(plan, templates=paths.templates, checking=checking)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        if folder.exists():
            old = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.replace(old / "old")
            fresh.replace(folder)
            shutil.rmtree(old)
        else:
            fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _values(plan: BakePlan) -> dict[str, object]:
    image, cloud = plan.image, plan.cloud
    uploaded = {"GOLDBAKE_FILES": f"{UPLOADED}/files", "GOLDBAKE_SCRIPTS": f"{UPLOADED}/scripts"}
    values: dict[str, object] = {
        "cloud": cloud.value,
        "name": plan.name,
        "image": image,
        "description": image.description,
        "layers": plan.layers,
        "environment": _environment({**plan.variables, **uploaded}),
        "uploaded": UPLOADED,
        "sudo": "" if cloud is Cloud.LOCAL else "sudo ",
        "source": _SOURCES[cloud],
        "is_local": cloud is Cloud.LOCAL,
        "is_gcp": cloud is Cloud.GCP,
        "is_azure": cloud is Cloud.AZURE,
        "write_manifest": WRITE_MANIFEST,
        "manifest": MANIFEST,
        "signs": plan.signs,
        "certificate": CERTIFICATE,
    }
    if cloud is Cloud.AWS:
        values["base"] = base_images.AWS[image.os]
        values["associate"] = "true" if image.aws.address == "public" else "null"
        values["ssh_interface"] = "session_manager" if image.aws.communicator == "session-manager" else f"{image.aws.address}_ip"
    elif cloud is Cloud.GCP:
        # A machine with a GPU cannot migrate: Compute Engine refuses it otherwise, Packer's validate does not. Spare capacity cannot either.
        values["maintenance"] = '"TERMINATE"' if image.gcp.has_gpu else 'var.spot ? "TERMINATE" : "MIGRATE"'
        values["private"] = hcl.literal(image.gcp.address == "private")
        values["tunnel"] = hcl.literal(image.gcp.communicator == "iap")
        values["network"] = _network(image.gcp)
        values["login"] = _LOGIN
    elif cloud is Cloud.AZURE:
        values["base"] = base_images.AZURE[image.os]
        values["definition"] = image.azure.definition_of(plan.name)
        values["network"] = _azure_network(image.azure)
        values["login"] = _LOGIN
    if cloud in PLUGINS:
        values["plugin"] = PLUGINS[cloud]
    values["made"] = _made(plan)
    return values


def _made(plan: BakePlan) -> dict[str, str]:
    """What stands in Packer's manifest beside the artifact, aligned: HCL expressions. Google's plugin tells an image's name without its project."""
    found = {"bake": "var.bake", "cloud": hcl.quote(plan.cloud.value), "image": hcl.quote(plan.name)}
    if plan.cloud is Cloud.GCP:
        found["project"] = "var.project"
    if plan.cloud is Cloud.AZURE:
        found["artifact"] = "local.artifact"
    width = max(map(len, found))
    return {key.ljust(width): value for key, value in found.items()}


_SOURCES = {Cloud.AWS: "amazon-ebs", Cloud.GCP: "googlecompute", Cloud.AZURE: "azure-arm", Cloud.LOCAL: "null"}


def _network(settings: GcpSettings) -> dict[str, object]:
    """Where the build instance is attached, as the plugin calls it; only what images.yaml names."""
    found: dict[str, object] = {
        "network": settings.network,
        "subnetwork": settings.subnet,
        "network_project_id": settings.network_project,
        "tags": settings.network_tags,
    }
    return {key: value for key, value in found.items() if value}


def _azure_network(settings: AzureSettings) -> dict[str, object]:
    """Where the build VM is attached, as the plugin calls it: in a network of Packer's own, or in the subnet that images.yaml names."""
    if not settings.subnet:
        return {"allowed_inbound_ip_addresses": settings.ssh_from or _ANYBODY}
    words = settings.subnet.split("/")
    return {
        "virtual_network_resource_group_name": words[4],
        "virtual_network_name": words[8],
        "virtual_network_subnet_name": words[10],
        "private_virtual_network_with_public_ip": settings.address == "public",
    }


def _environment(variables: Mapping[str, str]) -> list[str]:
    """Variables as `NAME=value`, sorted, ready for environment_vars."""
    for name, value in variables.items():
        if "{{" in value:  # Packer renders the command with its variables until nothing changes: no escape survives that
            raise ConfigError(
                f"{name} is {value!r}: Packer takes {{{{ for a template", hint="correct it in images.yaml or images.lock.yaml"
            )
    return [f"{name}={value}" for name, value in sorted(variables.items())]
