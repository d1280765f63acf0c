"""Which agent an image gets."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from goldbake import agent
from goldbake.config.model import Cloud, Lock, Pin
from goldbake.errors import MissingError, UsageError
from goldbake.log import Progress
from goldbake.plan import AgentSource
from tests.unit.test_plan import config

IMAGE = next(iter(config().images.values()))
UNRESOLVED = Lock(pins={})
RESOLVED = Lock(pins={f"agent-{IMAGE.agent.version}": Pin(version="1.2.3", url="https://example.com/a", sha256="0" * 64)})


def test_auto_takes_microsofts_agent_when_its_hash_is_pinned() -> None:
    assert agent.choose("auto", IMAGE, Cloud.LOCAL, RESOLVED, Progress(io.StringIO())) is AgentSource.MICROSOFT


def test_auto_takes_the_simulated_agent_on_this_machine_and_says_so() -> None:
    said = io.StringIO()
    assert agent.choose("auto", IMAGE, Cloud.LOCAL, UNRESOLVED, Progress(said)) is AgentSource.SIMULATED
    assert "SIMULATED" in said.getvalue()


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCP, Cloud.AZURE])
def test_auto_never_takes_the_simulated_agent_on_a_real_cloud(cloud: Cloud) -> None:
    assert agent.choose("auto", IMAGE, cloud, UNRESOLVED, Progress(io.StringIO())) is AgentSource.MICROSOFT


def test_word_that_is_no_agent_is_refused() -> None:
    with pytest.raises(UsageError, match="'latest'"):
        agent.choose("latest", IMAGE, Cloud.LOCAL, RESOLVED, Progress(io.StringIO()))


def test_simulated_tarball_is_the_same_bytes_every_time() -> None:
    tarball = agent.simulated_tarball("4.1.2")
    assert agent.simulated_sha256("4.1.2") == hashlib.sha256(tarball).hexdigest() == agent.simulated_sha256("4.1.2")
    assert agent.simulated_sha256("4.1.3") != agent.simulated_sha256("4.1.2")
    with tarfile.open(fileobj=io.BytesIO(tarball)) as opened:
        assert {"config.sh", "run.sh", "bin/Agent.Listener"} <= {name.removeprefix("./") for name in opened.getnames()}


def test_local_tarball_is_found_by_its_url(tmp_path: Path) -> None:
    file = tmp_path / "an agent.tar.gz"
    file.write_bytes(b"x")
    assert agent.local_tarball(file.as_uri()) == file


def test_missing_local_tarball_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"gone\.tar\.gz"):
        agent.local_tarball((tmp_path / "gone.tar.gz").as_uri())
