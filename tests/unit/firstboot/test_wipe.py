"""The PAT leaves the machine: from where it came, and from what others copied of it, whether the agent got online or never will."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from firstboot import report
from firstboot import wipe as module
from firstboot.sources import Found
from firstboot.wipe import overwrite, wipe

from sim.azdo import SimulatedAzureDevOps
from tests.unit.firstboot.box import Box
from tests.unit.firstboot.metadata import Azure, serving
from tests.unit.firstboot.test_sources import AZURE, OVF, firmware, make_disk

PAT = "p4t7oken7oken7oken7oken7oken"
DATA = json.dumps({"goldbake": {"organization": "foo", "pat": PAT}}).encode()


def copies(box: Box, data: bytes, pat: str) -> list[Path]:
    """What cloud-init and Azure's guest agents leave of user-data."""
    box.write("var/lib/cloud/instances/i-1/user-data.txt", data)
    box.write("var/lib/cloud/instances/i-1/user-data.txt.i", b"Content-Type: multipart/mixed\n\n" + data)
    box.write("var/lib/cloud/instances/i-1/obj.pkl", b"\x80\x04" + data + b".")
    box.write("run/cloud-init/instance-data-sensitive.json", json.dumps({"ds": {"user_data": data.decode()}}))
    box.write("var/log/cloud-init.log", f"before\nuser-data: {pat}\nafter\n")
    box.write("var/lib/waagent/ovf-env.xml", OVF.format(base64.b64encode(data).decode()))
    box.write("var/lib/waagent/CustomData", base64.encodebytes(data))
    return [path for path in box.root.rglob("*") if path.is_file()]


def traces(box: Box, data: bytes, pat: str) -> list[str]:
    encoded = base64.b64encode(data).decode()
    return box.holding(pat) + box.holding(encoded) + box.holding(encoded[4:60])


def test_r19_every_copy_is_found(box: Box) -> None:
    copies(box, DATA, PAT)
    assert len(traces(box, DATA, PAT)) > 5
    assert wipe(box.settings, Found("azure-customdata", DATA, "vm"), PAT) == []
    assert traces(box, DATA, PAT) == []


def test_r19_what_is_not_ours_stays(box: Box) -> None:
    copies(box, DATA, PAT)
    box.write("var/lib/cloud/data/instance-id", "i-1\n")
    wipe(box.settings, Found("aws", DATA, "vm"), PAT)
    assert (box.root / "var/lib/cloud/data/instance-id").read_text() == "i-1\n"
    log = (box.root / "var/log/cloud-init.log").read_text()
    assert log == f"before\nuser-data: {'*' * len(PAT)}\nafter\n"
    ovf = (box.root / "var/lib/waagent/ovf-env.xml").read_text()
    assert ovf.startswith(OVF.partition("{}")[0])
    assert ovf.endswith(OVF.partition("{}")[2])


def test_r19_a_whole_boot_leaves_no_copy_in_any_cache(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    data = b"#cloud-config\n" + json.dumps({"goldbake": given}).encode()
    firmware(box, AZURE)
    copies(box, data, service.pat)
    (box.root / "var/lib/cloud/instance").symlink_to("instances/i-1")
    with serving(Azure(None)) as metadata:
        box.settings.azure = (metadata.url,)
        assert box.boot() == 0
    assert box.status["source"] == "azure-customdata"
    assert traces(box, data, service.pat) == []


def test_r19_a_permanent_failure_leaves_no_copy_either(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    data = b"#cloud-config\n" + json.dumps({"goldbake": {**given, "pool": "no such pool"}}).encode()
    firmware(box, AZURE)
    copies(box, data, service.pat)
    with serving(Azure(data)) as metadata:
        box.settings.azure = (metadata.url,)
        assert box.boot() == 14
    assert traces(box, data, service.pat) == []


def test_r19_user_data_that_cannot_be_read_is_wiped_where_it_came_from(box: Box) -> None:
    box.seed(text="#cloud-config\n" + json.dumps({"goldbake": {"pat": PAT, "typo": ""}}))
    assert box.boot() == 10
    assert box.holding(PAT) == []
    assert (box.status["phase"], box.status["error"]) == ("failed", "input")


def test_r19_a_seed_disk_is_zeros_afterwards(box: Box, service: SimulatedAzureDevOps, given: dict[str, Any]) -> None:
    data = b"#cloud-config\n" + json.dumps({"goldbake": given}).encode()
    make_disk(box.root / "dev/vdb", kib=3000, files={"user-data": data, "meta-data": b"instance-id: vm-9\n"})
    (box.root / "sys/class/block/vdb").mkdir()
    for path in (box.root / "dev").glob("file-*"):
        path.unlink()
    assert box.boot() == 0
    assert (box.root / "dev/vdb").read_bytes() == b"\0" * 3000 * 1024
    assert box.holding(service.pat) == []
    assert box.status["agent"]["name"] == "goldbake-vm-9"


def test_r19_a_seed_folder_is_empty_afterwards(box: Box, given: dict[str, Any]) -> None:
    box.seed(given)
    assert box.boot() == 0
    assert list(Path(box.settings.seed).iterdir()) == []


def test_a_file_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    path, other = tmp_path / "secret", tmp_path / "same-blocks"
    path.write_text(PAT)
    other.hardlink_to(path)
    overwrite(str(path))
    assert not path.exists()
    assert other.read_bytes() == b"\0" * len(PAT)


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("kept")
    link.symlink_to(target)
    overwrite(str(link))
    overwrite(str(link))
    assert (target.read_text(), link.is_symlink()) == ("kept", False)


def test_a_file_that_cannot_be_wiped_is_named_and_the_others_are_wiped(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    copies(box, DATA, PAT)
    stubborn = f"{box.root}/var/lib/cloud/instances/i-1/user-data.txt"

    def refusing(path: str) -> None:
        if path == stubborn:
            raise PermissionError(1, "Operation not permitted")
        overwrite(path)

    monkeypatch.setattr(module, "overwrite", refusing)
    assert wipe(box.settings, Found("aws", DATA, "vm"), PAT) == [f"{stubborn}: Operation not permitted"]
    assert box.holding(PAT) == [str(Path(stubborn).relative_to(box.root))]


def test_a_disk_is_wiped_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off half-way, it is found again by its label."""
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 2_500_000)
    calls: list[int] = []
    real = module.os.pwrite

    def cut(handle: int, data: bytes, at: int) -> int:
        calls.append(at)
        if len(calls) > 1:
            raise OSError(5, "cut off")
        return real(handle, data, at)

    monkeypatch.setattr(module.os, "pwrite", cut)
    with pytest.raises(OSError, match="cut off"):
        module._zero_device(str(path))
    assert path.read_bytes()[:1_000_000] == b"x" * 1_000_000
    assert path.read_bytes()[-1_000_000:] == b"\0" * 1_000_000


def test_r19_what_cloud_init_copies_at_a_later_boot_goes_again(box: Box) -> None:
    copies(box, DATA, PAT)
    (box.root / "var/lib/waagent/ovf-env.xml").unlink()
    (box.root / "var/lib/waagent/CustomData").unlink()
    box.write("var/lib/cloud/instances/i-1/other.txt", '{"pat": "of somebody else"}')
    assert report.main(["online"], box.settings) == 0
    assert box.holding(PAT) == []
    assert (box.root / "var/lib/cloud/instances/i-1/other.txt").exists()


REMAINS = {
    "only the machine's description": (None, "instance-id: i-1\n"),
    "zeros that were not unlinked": ("\0" * 400, "instance-id: i-1\n"),
    "a half": ('#cloud-config\n{"goldbake": {"organi' + "\0" * 300, "instance-id: i-1\n"),
    "nothing": (None, None),
}
"""user-data and meta-data after a cut in the middle of wiping."""


@pytest.mark.slow
@pytest.mark.parametrize("what", REMAINS)
def test_r16_cut_off_while_it_wipes_the_next_boot_goes_on_with_the_same_agent(online: Box, what: str) -> None:
    agent = online.status["agent"]
    seed = Path(online.settings.seed)
    for name, text in zip(("user-data", "meta-data"), REMAINS[what], strict=True):
        if text is not None:
            seed.mkdir(parents=True, exist_ok=True)
            (seed / name).write_text(text)
    online.write("var/lib/goldbake/unfinished", "")
    assert online.boot() == 0
    assert (online.status["phase"], online.status["agent"]) == ("online", agent)
    assert list(seed.glob("*")) == []
    assert not (online.root / "var/lib/goldbake/unfinished").exists()


def test_foreign_user_data_beside_a_finished_agent_stays(online: Box) -> None:
    online.seed(text="#cloud-config\nhostname: mine\n")
    assert online.boot() == -1  # the unit's condition: nothing is unfinished
    assert len(list(Path(online.settings.seed).iterdir())) == 2
