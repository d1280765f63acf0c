"""Each row of the matrix lets something pass and refuses something."""

from __future__ import annotations

from typing import Any

import pytest

from goldbake.config.model import Gpu, Image, Module
from goldbake.config.rules import SUPPORT, problems


def image(**changes: object) -> Image:
    """An image without problems; `driver_…` and `docker_…` change one key within these."""
    driver = {"source": "nvidia", "version": "580.159.04", "module": "open", "variant": "compute"}
    docker = {"source": "docker", "version": "28.2.2"}
    for key in list(changes):
        group, _, name = key.partition("_")
        if group in ("driver", "docker") and name:
            (driver if group == "driver" else docker)[name] = str(changes.pop(key))
    values = {
        "description": "a test",
        "os": "ubuntu-24.04",
        "clouds": ["aws"],
        "gpus": ["t4"],
        "driver": driver,
        "docker": docker,
        "toolkit": {"source": "nvidia", "version": "1.19.1"},
        "agent": {"version": "4.275.0"},
        "layers": [{"name": "all", "scripts": ["one"]}],
        **changes,
    }
    return Image.model_validate(values)


DRIVER = [{"name": "driver", "scripts": ["install-driver"]}]


def told(**changes: object) -> list[str]:
    """The problems of an image, each as `key: what; fix`."""
    found = problems("test", image(**changes))
    return [f"{'.'.join(map(str, problem.keys))}: {problem.what}; {problem.fix}" for problem in found]


MATRIX = {
    # GPU: (accepted module and version, refused module or version, the message)
    Gpu.K80: (
        ("proprietary", "470.256.02"),
        ("proprietary", "535.309.01"),
        "driver.version: 535.309.01 is too new for k80 (Kepler); write a version of branch 470, its last, or take k80 out of gpus",
    ),
    Gpu.P4: (("proprietary", "580.159.04"), ("open", "580.159.04"), "driver.module: open cannot drive p4 (Pascal); write proprietary"),
    Gpu.P100: (
        ("proprietary", "580.159.04"),
        ("proprietary", "590.1.1"),
        "driver.version: 590.1.1 is too new for p100 (Pascal); write a version of branch 580, its last, or take p100 out of gpus",
    ),
    Gpu.V100: (("proprietary", "535.309.01"), ("open", "535.309.01"), "driver.module: open cannot drive v100 (Volta); write proprietary"),
    Gpu.T4: (
        ("open", "515.105.01"),
        ("open", "470.256.02"),
        "driver.module: the open module does not exist in branch 470; write proprietary, or a version of branch 515 or newer",
    ),
    Gpu.A10: (
        ("proprietary", "470.256.02"),
        ("proprietary", "450.1.1"),
        "driver.version: 450.1.1 is too old for a10 (Ampere); write a version of branch 460 or newer, or take a10 out of gpus",
    ),
    Gpu.A10G: (
        ("open", "595.1.1"),
        ("proprietary", "460.1.1"),
        "driver.version: 460.1.1 is too old for a10g (Ampere); write a version of branch 470 or newer, or take a10g out of gpus",
    ),
    Gpu.A100: (
        ("proprietary", "450.1.1"),
        ("proprietary", "440.1.1"),
        "driver.version: 440.1.1 is too old for a100 (Ampere); write a version of branch 450 or newer, or take a100 out of gpus",
    ),
    Gpu.L4: (
        ("open", "525.1.1"),
        ("open", "515.105.01"),
        "driver.version: 515.105.01 is too old for l4 (Ada); write a version of branch 525 or newer, or take l4 out of gpus",
    ),
    Gpu.L40S: (
        ("proprietary", "535.309.01"),
        ("proprietary", "515.105.01"),
        "driver.version: 515.105.01 is too old for l40s (Ada); write a version of branch 525 or newer, or take l40s out of gpus",
    ),
    Gpu.H100: (
        ("proprietary", "535.309.01"),
        ("open", "515.105.01"),
        "driver.version: 515.105.01 is too old for h100 (Hopper); write a version of branch 525 or newer, or take h100 out of gpus",
    ),
    Gpu.H200: (
        ("open", "550.163.01"),
        ("open", "535.309.01"),
        "driver.version: 535.309.01 is too old for h200 (Hopper); write a version of branch 550 or newer, or take h200 out of gpus",
    ),
    Gpu.GH200: (
        ("open", "550.163.01"),
        ("proprietary", "550.163.01"),
        "driver.module: proprietary cannot drive gh200 (Grace Hopper); write open",
    ),
    Gpu.B200: (
        ("open", "580.159.04"),
        ("proprietary", "580.159.04"),
        "driver.module: proprietary cannot drive b200 (Blackwell); write open",
    ),
    Gpu.B300: (
        ("open", "580.159.04"),
        ("open", "570.133.20"),
        "driver.version: 570.133.20 is too old for b300 (Blackwell); write a version of branch 580 or newer, or take b300 out of gpus",
    ),
    Gpu.RTX_PRO_6000: (
        ("open", "570.133.20"),
        ("proprietary", "570.133.20"),
        "driver.module: proprietary cannot drive rtx-pro-6000 (Blackwell); write open",
    ),
    Gpu.RTX_PRO_4500: (
        ("open", "595.1.1"),
        ("open", "580.159.04"),
        "driver.version: 580.159.04 is too old for rtx-pro-4500 (Blackwell); "
        "write a version of branch 595 or newer, or take rtx-pro-4500 out of gpus",
    ),
}


@pytest.mark.parametrize("gpu", Gpu)
def test_each_gpu_has_a_driver_that_passes_and_one_that_is_refused(gpu: Gpu) -> None:
    (module, version), (wrong_module, wrong_version), message = MATRIX[gpu]
    assert told(gpus=[gpu], driver_module=module, driver_version=version) == []
    assert told(gpus=[gpu], driver_module=wrong_module, driver_version=wrong_version) == [message]


@pytest.mark.parametrize("gpu", Gpu)
def test_the_first_and_last_branch_of_each_gpu_pass_and_their_neighbours_do_not(gpu: Gpu) -> None:
    support = SUPPORT[gpu]
    module = Module.PROPRIETARY if Module.PROPRIETARY in support.modules else Module.OPEN
    branches = [support.first, *([support.last] if support.last else [])]
    assert [told(gpus=[gpu], driver_module=module, driver_version=f"{branch}.1") for branch in branches] == [[] for _ in branches]
    beyond = [support.first - 1, *([support.last + 1] if support.last else [])]
    for branch in beyond:
        (message,) = told(gpus=[gpu], driver_module=module, driver_version=f"{branch}.1")
        assert message.startswith(f"driver.version: {branch}.1 is too ")


ACCEPTED: dict[str, dict[str, object]] = {
    "debian 12's own driver": {
        "os": "debian-12",
        "driver_source": "debian",
        "driver_version": "535.309.01",
        "driver_module": "proprietary",
    },
    "debian 13's own driver": {"os": "debian-13", "driver_source": "debian", "driver_version": "550.163.01", "driver_module": "open"},
    "debian's own docker": {"os": "debian-12", "docker_source": "debian"},
    "nvidia's open driver on debian": {"os": "debian-12", "driver_version": "550.163.01"},
    "nvidia's old proprietary driver on debian": {"os": "debian-12", "driver_version": "535.309.01", "driver_module": "proprietary"},
    "nvidia's old open driver on ubuntu": {"driver_version": "535.309.01"},
    "azure's a10 with grid": {"clouds": ["azure"], "gpus": ["a10", "t4"], "driver_variant": "grid"},
    "azure's rtx pro 6000 with grid": {
        "clouds": ["azure"],
        "gpus": ["rtx-pro-6000"],
        "driver_variant": "grid",
        "driver_version": "595.1.1",
    },
    "azure's other gpus without grid": {"clouds": ["azure", "aws"], "gpus": ["t4", "a100", "h100", "h200"]},
    "an a10 elsewhere": {"clouds": ["gcp"], "gpus": ["a10"]},
    "secure boot off": {"secure_boot": False},
    "secure boot on Google Cloud": {"secure_boot": True, "clouds": ["gcp"], "layers": DRIVER},
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_what_works_together_passes(kind: str) -> None:
    assert told(**ACCEPTED[kind]) == []


REFUSED: dict[str, tuple[dict[str, object], list[str]]] = {
    "gpus without a common module": (
        {"gpus": ["v100", "b200"]},
        ["driver.module: open cannot drive v100 (Volta); give v100 an image of its own that `extends: test` and has module proprietary"],
    ),
    "a gpu twice is told once": ({"gpus": ["v100", "v100"]}, ["driver.module: open cannot drive v100 (Volta); write proprietary"]),
    "two gpus, two problems": (
        {"gpus": ["v100", "rtx-pro-4500"], "driver_version": "590.1.1", "driver_module": "proprietary"},
        [
            "driver.module: proprietary cannot drive rtx-pro-4500 (Blackwell); "
            "give rtx-pro-4500 an image of its own that `extends: test` and has module open",
            "driver.version: 590.1.1 is too new for v100 (Volta); write a version of branch 580, its last, or take v100 out of gpus",
            "driver.version: 590.1.1 is too old for rtx-pro-4500 (Blackwell); "
            "write a version of branch 595 or newer, or take rtx-pro-4500 out of gpus",
        ],
    ),
    "debian's driver on ubuntu": (
        {"driver_source": "debian", "driver_version": "535.309.01", "driver_module": "proprietary"},
        ["driver.source: debian is no source for ubuntu-24.04; write nvidia, or an os of Debian"],
    ),
    "debian's docker on ubuntu": (
        {"docker_source": "debian"},
        ["docker.source: debian is no source for ubuntu-24.04; write docker, or an os of Debian"],
    ),
    "another branch than debian 12's": (
        {"os": "debian-12", "driver_source": "debian", "driver_version": "550.163.01", "driver_module": "proprietary"},
        ["driver.version: 550.163.01 is not in debian-12, which has branch 535; write a version of branch 535, or source nvidia"],
    ),
    "another branch than debian 13's": (
        {"os": "debian-13", "driver_source": "debian", "driver_version": "535.309.01", "driver_module": "proprietary"},
        ["driver.version: 535.309.01 is not in debian-13, which has branch 550; write a version of branch 550, or source nvidia"],
    ),
    "debian 12's own driver, open": (
        {"os": "debian-12", "driver_source": "debian", "driver_version": "535.309.01"},
        ["driver.module: debian-12's own driver is not built as open module; write proprietary, or source nvidia"],
    ),
    "nvidia's old open driver on debian": (
        {"os": "debian-12", "driver_version": "535.309.01"},
        [
            "driver.module: NVIDIA's repository for debian-12 has no open module of branch 535; "
            "write proprietary, or a version of branch 545 or newer"
        ],
    ),
    "azure's a10 without grid": (
        {"clouds": ["azure"], "gpus": ["a10"]},
        ["driver.variant: compute cannot drive a10 on Azure, which rents it as vGPU; write grid, or give a10 on Azure an image of its own"],
    ),
    "azure's h100 with grid": (
        {"clouds": ["azure"], "gpus": ["h100"], "driver_variant": "grid"},
        ["driver.variant: grid cannot drive h100 on Azure; write compute, or take h100 out of gpus"],
    ),
    "azure's rtx pro 6000 with an old grid": (
        {"clouds": ["azure"], "gpus": ["rtx-pro-6000"], "driver_variant": "grid"},
        ["driver.version: 580.159.04 is too old for rtx-pro-6000 on Azure; write a version of branch 595 or newer"],
    ),
    "grid elsewhere": (
        {"clouds": ["aws", "gcp", "azure"], "gpus": ["a10"], "driver_variant": "grid"},
        ["driver.variant: grid works on Azure only, not on aws, gcp; write compute, or clouds: [azure]"],
    ),
    "grid from debian": (
        {
            "os": "debian-12",
            "clouds": ["azure"],
            "gpus": ["a10"],
            "driver_source": "debian",
            "driver_version": "535.309.01",
            "driver_module": "proprietary",
            "driver_variant": "grid",
        },
        ["driver.variant: grid is not in Debian's packages; write compute, or source nvidia"],
    ),
    "secure boot elsewhere": (
        {"secure_boot": True, "clouds": ["aws", "gcp"], "layers": DRIVER},
        [
            "secure_boot: true cannot work on aws: DKMS builds the driver's modules, and no firmware there trusts the key that signs them; "
            "write false, or clouds: [gcp], whose images bring their own certificates"
        ],
    ),
    "secure boot without a driver": (
        {"secure_boot": True, "clouds": ["gcp"]},
        ["secure_boot: no layer runs install-driver, whose modules are signed; add install-driver, or write false"],
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_work_together_is_refused_with_the_way_out(kind: str) -> None:
    changes, messages = REFUSED[kind]
    assert told(**changes) == messages


def test_every_problem_points_at_a_key_of_the_image() -> None:
    for changes, _ in REFUSED.values():
        for problem in problems("test", image(**changes)):
            value: object = image(**changes)
            for key in problem.keys:
                value = getattr(value, str(key))


AWS = {
    "a session without a profile": ({"communicator": "session-manager"}, ("aws", "communicator"), "needs an instance profile"),
    "an open port that is not used": (
        {"communicator": "session-manager", "instance_profile": "builders", "ssh_from": ["192.0.2.0/24"]},
        ("aws", "ssh_from"),
        "opens no port",
    ),
    "a private address that nobody may reach": ({"address": "private"}, ("aws", "address"), "this machine is not seen"),
    "a key for nothing": ({"kms_key": "alias/images"}, ("aws", "kms_key"), "nothing is encrypted"),
    "a copy's key for nothing": (
        {"copies": [{"region": "eu-west-1", "kms_key": "alias/images"}]},
        ("aws", "copies", 0, "kms_key"),
        "nothing is encrypted",
    ),
    "readers of what AWS's own key encrypts": ({"encrypt": True, "share_with": ["111122223333"]}, ("aws", "kms_key"), "cannot be shared"),
    "a copy at home": ({"copies": [{"region": "us-east-1"}]}, ("aws", "copies", 0, "region"), "has the image already"),
    "two copies in a region": (
        {"copies": [{"region": "eu-west-1"}, {"region": "eu-west-1"}]},
        ("aws", "copies", 1, "region"),
        "has the image already",
    ),
}


@pytest.mark.parametrize(("settings", "keys", "what"), AWS.values(), ids=AWS)
def test_settings_of_aws_that_contradict_each_other(settings: dict[str, object], keys: tuple[str | int, ...], what: str) -> None:
    described = image(clouds=["aws"], aws=settings)
    (found,) = problems("base", described)
    assert found.keys == keys
    assert what in found.what
    assert found.fix
    assert problems("base", image(clouds=["gcp"], aws=settings)) == []


def test_all_settings_of_aws_together_are_fine() -> None:
    settings = {
        "spot": True,
        "communicator": "session-manager",
        "instance_profile": "builders",
        "address": "private",
        "encrypt": True,
        "kms_key": "alias/images",
        "copies": [{"region": "eu-west-1", "kms_key": "alias/images"}],
        "share_with": ["111122223333"],
        "boot_mode": "uefi",
    }
    assert problems("base", image(clouds=["aws"], aws=settings)) == []


T4 = {"machine_type": "n1-standard-8", "accelerator": "nvidia-tesla-t4"}
BAKER = "baker@agents-417.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
GCP = {
    "a zone elsewhere": ({"zones": ["us-central1-a", "us-east1-b"]}, ("gcp", "zones", 1), "us-east1-b is not in us-central1"),
    "a zone twice": ({"zones": ["us-central1-a", "us-central1-a"]}, ("gcp", "zones", 1), "stands there already"),
    "an ARM machine": ({"machine_type": "t2a-standard-4"}, ("gcp", "machine_type"), "is an ARM machine"),
    "a GPU for a machine that has one": ({**T4, "machine_type": "g2-standard-8"}, ("gcp", "accelerator"), "has its GPUs built in"),
    "a GPU for a machine that takes none": ({**T4, "machine_type": "n2-standard-8"}, ("gcp", "accelerator"), "only N1 does"),
    "three GPUs": ({**T4, "accelerator_count": 3}, ("gcp", "accelerator_count"), "has 1, 2 or 4 nvidia-tesla-t4"),
    "eight T4": ({**T4, "accelerator_count": 8}, ("gcp", "accelerator_count"), "has 1, 2 or 4 nvidia-tesla-t4"),
    "two of nothing": ({"accelerator_count": 2}, ("gcp", "accelerator_count"), "no accelerator is named"),
    "a host project of nothing": ({"network_project": "network-417"}, ("gcp", "network_project"), "nothing of that project"),
    "an account without scopes": ({"service_account": BAKER}, ("gcp", "service_account"), "it may call nothing"),
    "scopes of nobody": ({"scopes": [SCOPE]}, ("gcp", "scopes"), "those of a service account"),
    "measured boots without a TPM": ({"vtpm": False}, ("gcp", "vtpm"), "cannot be measured"),
    "a label of ours": (
        {"labels": {"team": "render", "goldbake-image": "x"}},
        ("gcp", "labels", "goldbake-image"),
        "sets this label itself",
    ),
}


@pytest.mark.parametrize(("settings", "keys", "what"), GCP.values(), ids=GCP)
def test_settings_of_google_cloud_that_contradict_each_other(settings: dict[str, object], keys: tuple[str | int, ...], what: str) -> None:
    (found,) = problems("base", image(clouds=["gcp"], gcp=settings))
    assert found.keys == keys
    assert what in found.what
    assert found.fix
    assert problems("base", image(clouds=["aws"], gcp=settings)) == []


def test_all_settings_of_google_cloud_together_are_fine() -> None:
    settings = {
        "project": "agents-417",
        "region": "europe-west4",
        "zones": ["europe-west4-b", "europe-west4-a"],
        "machine_type": "n1-standard-16",
        "accelerator": "nvidia-tesla-v100",
        "accelerator_count": 8,
        "spot": True,
        "network": "builds",
        "subnet": "builds-1",
        "network_project": "network-417",
        "network_tags": ["builds"],
        "communicator": "iap",
        "address": "private",
        "service_account": BAKER,
        "scopes": [SCOPE],
        "family": "agents",
        "storage_location": "eu",
        "guest_os_features": ["GVNIC"],
        "vtpm": False,
        "integrity_monitoring": False,
        "labels": {"team": "render"},
        "share_with": ["group:builds@example.org", "domain:example.org", f"serviceAccount:{BAKER}"],
        "deprecate_older": False,
    }
    assert problems("base", image(clouds=["gcp"], gcp=settings)) == []


SUBNET = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/lan/subnets/build"
)
AZURE = {
    "a private address that nobody reaches": ({"address": "private"}, {}, ("azure", "address"), "nobody reaches"),
    "rules for a network that has its own": (
        {"subnet": SUBNET, "ssh_from": ["192.0.2.0/24"]},
        {},
        ("azure", "ssh_from"),
        "its own security group",
    ),
    "a virtual TPM beside the vGPU driver": (
        {"security": "trusted-launch"},
        {"gpus": ["a10"], "driver_variant": "grid"},
        ("azure", "security"),
        "does not work with a virtual TPM",
    ),
    "a copy at home": ({"copies": [{"region": "eastus"}]}, {}, ("azure", "copies", 0, "region"), "has the image already"),
}


@pytest.mark.parametrize(("settings", "changes", "keys", "what"), AZURE.values(), ids=AZURE)
def test_settings_of_azure_that_contradict_each_other(
    settings: dict[str, object], changes: dict[str, Any], keys: tuple[str | int, ...], what: str
) -> None:
    given = {"gpus": ["t4"]} | changes
    (found,) = problems("base", image(clouds=["azure"], azure=settings, **given))
    assert found.keys == keys
    assert what in found.what
    assert found.fix
    assert problems("base", image(clouds=["aws"], azure=settings, gpus=["t4"])) == []
