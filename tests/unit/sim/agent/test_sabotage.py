"""The fidelity suite is worth something: an agent with one thing wrong makes the test of that thing fail."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sim import agent

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[4]
SUITE = "tests/integration/test_agent_fidelity.py"
PACKAGE = "bin/simagent"


@dataclass(frozen=True)
class Sabotage:
    """In `file`, `right` becomes `wrong`, and `test` has to notice."""

    file: str
    right: str
    wrong: str
    test: str


SABOTAGES = (
    Sabotage("config.sh", '"$EUID" -eq 0', '"$EUID" -eq 1', "test_root_is_refused"),
    Sabotage("env.sh", '"$PATH" >.path', '"$PATH" >.paths', "test_path_and_environment_are_kept_at_configuration"),
    Sabotage("bin/systemd.svc.sh.template", "SUDO_USER:-}", "SUDO_USER:-nobody}", "test_service_without_any_user_runs_as_root"),
    Sabotage("bin/systemd.svc.sh.template", "return 0 #", "exit 3 #", "test_status_of_a_dead_service_is_0"),
    Sabotage("bin/runsvc.sh", "\nexit 0\n", "\nexit $code\n", "test_service_program_hides_a_terminated_listener"),
    Sabotage(
        f"{PACKAGE}/cli.py", 'RETRYABLE if verb == "run" else', "TERMINATED if verb else", "test_agent_that_is_not_configured_ends_with_2"
    ),
    Sabotage(f"{PACKAGE}/inputs.py", "environ.pop(name)", "environ[name]", "test_environment_is_the_capabilities"),
    Sabotage(f"{PACKAGE}/capabilities.py", "< LONGEST", "<= LONGEST", "test_environment_is_the_capabilities"),
    Sabotage(f"{PACKAGE}/configure.py", "files.has(store.SETTINGS)", "False", "test_configured_agent_refuses_to_be_configured"),
    Sabotage(f"{PACKAGE}/configure.py", 'not inputs.flag("replace")', "False", "test_name_that_is_taken_needs_replace"),
    Sabotage(f"{PACKAGE}/configure.py", '"scheme": "PAT"', '"scheme": "None"', "test_agent_whose_token_is_in_its_credentials_runs"),
    Sabotage(f"{PACKAGE}/store.py", "0o600 if private", "0o644 if private", "test_key_is_made_with_2048_bits_for_its_owner_only"),
    Sabotage(
        f"{PACKAGE}/service.py", '"X-TFS-FedAuthRedirect": "Suppress"', '"X-Other": "Suppress"', "test_requests_have_the_agents_headers"
    ),
    Sabotage(f"{PACKAGE}/listener.py", "self._session.hurry(", "return\n            self._session.hurry(", "test_signal_ends_the_session"),
    Sabotage(f"{PACKAGE}/jobs.py", 'return "canceled"\n', 'return "succeeded"\n', "test_signal_cancels_the_running_job"),
    Sabotage(f"{PACKAGE}/update.py", "< _numbers(version)", "> _numbers(version)", "test_older_version_is_refused"),
    Sabotage(f"{PACKAGE}/update.py", 'not package.get("hashValue")', "False", "test_package_that_cannot_be_checked_is_not_taken"),
)


def with_change(tarball: bytes, file: str, right: str, wrong: str) -> bytes:
    """The tarball with a changed file."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tarball)) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            data = content.read() if content else b""
            if member.name == file:
                assert right.encode() in data, f"{file} has no {right!r} any more"
                data = data.replace(right.encode(), wrong.encode())
                member.size = len(data)
            new.addfile(member, io.BytesIO(data) if content else None)
    return gzip.compress(plain.getvalue(), mtime=0)


def suite(tarball: Path, test: str, patience: float = 10) -> subprocess.CompletedProcess[str]:
    """Run one test of the suite on this tarball; it waits `patience` seconds for what a sound agent does."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", SUITE, "-k", test],
        cwd=PROJECT,
        env={**os.environ, "GOLDBAKE_AGENT_TARBALL": str(tarball), "GOLDBAKE_AGENT_PATIENCE": str(patience)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: f"{Path(sabotage.file).name}: {sabotage.wrong.strip()}")
def test_suite_notices(sabotage: Sabotage, tmp_path: Path) -> None:
    tarball = tmp_path / "agent.tar.gz"
    tarball.write_bytes(with_change(agent.pack("4.275.0"), sabotage.file, sabotage.right, sabotage.wrong))
    done = suite(tarball, sabotage.test)
    assert done.returncode == 1, done.stdout[-3000:]
    assert " failed" in done.stdout


def test_suite_is_content_with_an_agent_of_its_variable(tmp_path: Path) -> None:
    tarball = tmp_path / "agent.tar.gz"
    tarball.write_bytes(with_change(agent.pack("4.277.3"), "license.html", "no licence", "other licence"))
    done = suite(tarball, "test_registration_says_what_the_service_has_to_know or test_root_is_refused", patience=120)
    assert done.returncode == 0, done.stdout[-3000:]
