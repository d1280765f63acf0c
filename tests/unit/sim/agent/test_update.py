"""What is taken for an update."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim import agent
from sim.agent.files.bin.simagent import update
from sim.agent.files.bin.simagent.console import Console
from sim.agent.files.bin.simagent.network import Network
from sim.agent.files.bin.simagent.oauth import Assertion
from sim.agent.files.bin.simagent.rsa import Search
from sim.agent.files.bin.simagent.service import Session
from sim.agent.files.bin.simagent.store import Store
from tests.servers import Answer, Server, server

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns when threads are there

CONTENT = agent.pack("4.276.1")
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def publisher() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> Store:
    (tmp_path / ".agent").write_text('{"agentId": 1}')
    return Store(str(tmp_path))


@pytest.fixture
def session(publisher: Server, files: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("SIMULATED_AGENT_PACE", "0")
    console = Console(files.folder)
    opened = Session(publisher.url, Assertion("c", "a", publisher.url, Search().key()), Network(), console, "4.275.0")
    yield opened
    opened.close()
    console.close()


def test_package_is_unpacked_when_its_hash_is_right(publisher: Server, files: Store, session: Session) -> None:
    url = publisher.serve("/agent.tar.gz", CONTENT)
    folder = update._download({"downloadUrl": url, "hashValue": HASH.upper()}, session, files)
    assert Path(folder, "bin", "version").read_text() == "4.276.1\n"


def test_bad_moment_is_followed_by_another_try(publisher: Server, files: Store, session: Session) -> None:
    url = publisher.serve("/agent.tar.gz", Answer(b"gone", 404), b"something else", CONTENT)
    assert Path(update._download({"downloadUrl": url, "hashValue": HASH}, session, files)).is_dir()
    assert len(publisher.paths) == 3


def test_package_with_another_hash_is_given_up_after_three_tries(publisher: Server, files: Store, session: Session) -> None:
    url = publisher.serve("/agent.tar.gz", CONTENT)
    with pytest.raises(update.Refused, match="SHA-256"):
        update._download({"downloadUrl": url, "hashValue": "0" * 64}, session, files)
    assert len(publisher.paths) == 3
    assert not Path(files.folder, "_work").exists()


@pytest.mark.parametrize("how", ["the same version", "switched off", "older, and that is switched off"])
def test_update_that_is_not_wanted_asks_for_nothing(
    publisher: Server, files: Store, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    version = "4.274.9" if how.startswith("older") else "4.275.0" if how.startswith("the same") else "4.276.1"
    monkeypatch.setenv("agent.disableupdate", "true" if how == "switched off" else "false")
    monkeypatch.setenv("AZP_AGENT_DOWNGRADE_DISABLED", "true")
    console = Console(files.folder)
    try:
        assert not update.update({"targetVersion": version}, session, 1, 1, files, console, "4.275.0", relaunch=True)
    finally:
        console.close()
    assert [path for path in publisher.paths if "packages" in path or path.endswith(".gz")] == []
