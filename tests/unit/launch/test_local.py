"""What the launcher of this machine refuses before anything starts, and what it makes of an organization's address."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from goldbake.config.model import Cloud
from goldbake.errors import MissingError, UsageError
from goldbake.local import container, vm
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.secret import Secret
from launch import gpu
from launch.base import LaunchSpec
from launch.local import Engine, LocalLauncher, LocalOptions

SPEC = LaunchSpec(
    "l1", Cloud.LOCAL, "img", "/a.qcow2", "0" * 64, "535.1", 2, "goldbake", "https://127.0.0.1:1/x", 100, Secret("#cloud-config")
)


def _prepare(paths: Paths, options: LocalOptions, spec: LaunchSpec = SPEC) -> None:
    LocalLauncher(paths, options).prepare(spec, Progress(io.StringIO()))


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ("https://127.0.0.1:8443/demo", "https://10.0.2.2:8443/demo"),
        ("https://localhost/demo", "https://10.0.2.2/demo"),
        ("https://azdo.localhost:1/demo", "https://10.0.2.2:1/demo"),
        ("https://[::1]:8443/demo", "https://10.0.2.2:8443/demo"),
        ("https://dev.azure.com/foo", "https://dev.azure.com/foo"),
        ("https://10.1.2.3/foo", "https://10.1.2.3/foo"),
        ("https://localhost.example.com/foo", "https://localhost.example.com/foo"),
    ],
)
def test_a_service_on_loopback_is_seen_from_inside_at_the_gateway(paths: Paths, outside: str, inside: str) -> None:
    assert LocalLauncher(paths, LocalOptions()).seen_from_inside(outside) == inside


@pytest.mark.parametrize("options", [LocalOptions(cpus=0), LocalOptions(memory_mib=255)])
def test_a_machine_too_small_to_boot_is_refused(paths: Paths, options: LocalOptions) -> None:
    with pytest.raises(UsageError, match="cannot boot"):
        _prepare(paths, options)


def test_a_container_needs_root(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "is_root", lambda: False)
    with pytest.raises(MissingError, match="needs root") as caught:
        _prepare(paths, LocalOptions(engine=Engine.CONTAINER))
    assert "sudo" in caught.value.hint


def test_an_ssh_key_is_for_vms(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "is_root", lambda: True)
    with pytest.raises(UsageError, match="--ssh-key"):
        _prepare(paths, LocalOptions(engine=Engine.CONTAINER, ssh_key="ssh-ed25519 AAAA"))


def test_one_vm_takes_all_gpus(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldbake.host.ensure_packages", lambda *_: None)
    with pytest.raises(UsageError, match="--gpu gives all GPUs"):
        _prepare(paths, LocalOptions(gpu=True))


def test_a_gpu_that_is_not_there_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldbake.host.ensure_packages", lambda *_: None)
    monkeypatch.setattr(vm, "accelerator", lambda: "kvm")
    monkeypatch.setattr(gpu, "found", lambda *_: [])
    with pytest.raises(MissingError, match="no NVIDIA GPU"):
        _prepare(paths, LocalOptions(gpu=True), replace(SPEC, count=1))


def test_folders_that_are_no_instances_are_not_listed(paths: Paths) -> None:
    launcher = LocalLauncher(paths, LocalOptions())
    assert launcher.resources() == []
    (launcher.root / "l1/notes").mkdir(parents=True)
    (launcher.root / "README").touch()
    assert launcher.resources() == []
    assert launcher.instances() == []


def test_a_half_made_folder_is_a_resource_and_goes(paths: Paths) -> None:
    launcher = LocalLauncher(paths, LocalOptions())
    (launcher.root / "l1/2").mkdir(parents=True)
    (launcher.root / "l1/2/instance.json.partial").write_text("{")
    (found,) = launcher.resources("l1")
    assert (found.kind, found.launch_id, found.instance_id, found.expires) == ("folder", "l1", "l1-2", None)
    assert launcher.instances() == []
    launcher.delete([found])
    assert launcher.resources() == []
    assert list(launcher.root.iterdir()) == []
