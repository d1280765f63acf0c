"""A seed is private, first boot can read it, and wiping it leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from firstboot import fat, nocloud
from firstboot.settings import Settings

from goldbake.secret import Secret
from launch import seed

TEXT = '#cloud-config\n{"goldbake": {"pat": "' + "secret-" * 2000 + '"}}\n'

needs_mtools = pytest.mark.skipif(shutil.which("mformat") is None, reason="mtools is not installed")


@needs_mtools
def test_first_boot_reads_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "seed.img"
    seed.make_disk(path, "launch-1", Secret(TEXT))
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert fat.label(content[:512]) == seed.LABEL
    files = fat.files(content, 1 << 20)
    assert files["user-data"].decode() == TEXT
    assert nocloud._instance_id(files["meta-data"]) == "launch-1"


@needs_mtools
def test_a_wiped_disk_is_zeros_of_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "seed.img"
    seed.make_disk(path, "launch-1", Secret(TEXT))
    size = path.stat().st_size
    assert not seed.is_clean(path)
    seed.wipe(path)
    assert seed.is_clean(path)
    assert path.read_bytes() == bytes(size)


def test_first_boot_reads_the_folder(tmp_path: Path) -> None:
    seed.make_folder(tmp_path / "seed", "launch-1", Secret(TEXT))
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "seed/user-data").stat().st_mode & 0o777 == 0o600
    settings = Settings(str(tmp_path))
    settings.seed = str(tmp_path / "seed")
    found = nocloud.folder(settings)
    assert found is not None
    assert found.data.decode() == TEXT
    assert found.instance_id == "launch-1"


def test_a_wiped_folder_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    seed.make_folder(path, "launch-1", Secret(TEXT))
    (tmp_path / "link").hardlink_to(path / "user-data")
    seed.wipe(path)
    assert seed.is_clean(path)
    assert (tmp_path / "link").read_bytes() == bytes(len(TEXT))


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "seed.img").touch()
    with pytest.raises(FileExistsError):
        seed.make_disk(tmp_path / "seed.img", "x", Secret(TEXT))
