"""Packer is driven through its command line; a shell script stands in for it."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from goldbake.errors import BakeError, GoldbakeError, MissingError, ProcessError
from goldbake.packer import Packer, script_of, version_of
from goldbake.secret import Secret

FAILED_SCRIPT = """\
==> system.null.local: Connected to SSH!
==> system.null.local: Uploading /x/scripts/ => /var/tmp/goldbake/scripts
==> system.null.local: Provisioning with shell script: /x/configure-apt.sh
==> system.null.local: an earlier script said this
==> system.null.local: Provisioning with shell script: /x/install-kernel.sh
==> system.null.local: E: Unable to locate package linux-image
    system.null.local: the second line
==> system.null.local: Provisioning step had errors: Running the cleanup provisioner, if present...
Build 'system.null.local' errored after 30 milliseconds: Script exited with non-zero exit status: 100. Allowed exit codes are: [0]

==> Wait completed after 30 milliseconds

==> Some builds didn't complete successfully and had errors:
--> system.null.local: Script exited with non-zero exit status: 100. Allowed exit codes are: [0]

==> Builds finished but no artifacts were created.
"""


class StandIn:
    """A program in Packer's place, which notes arguments and environment and then runs `body` in sh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binary = folder / "packer"

    def does(self, body: str) -> Packer:
        note = f'for a in "$@"; do printf "%s\\n" "$a"; done > {self.folder}/argv; env > {self.folder}/env'
        self.binary.write_text(f"#!/bin/sh\n{note}\n{body}\n")
        self.binary.chmod(0o755)
        return Packer(self.binary, self.folder / "plugins", self.folder / "config")

    def prints(self, text: str, code: int) -> Packer:
        (self.folder / "output").write_text(text)
        return self.does(f"cat {self.folder}/output; exit {code}")

    @property
    def argv(self) -> list[str]:
        return (self.folder / "argv").read_text().splitlines()

    @property
    def env(self) -> dict[str, str]:
        pairs = (line.partition("=") for line in (self.folder / "env").read_text().splitlines())
        return {name: value for name, _, value in pairs}


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


def build(packer: Packer, folder: Path, **variables: str | int | bool | Secret | None) -> list[str]:
    lines: list[str] = []
    packer.build(folder, variables, lines.append)
    return lines


def test_a_failed_script_is_named_with_its_own_last_lines(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(BakeError) as caught:
        build(stand_in.prints(FAILED_SCRIPT, 1), tmp_path)
    assert caught.value.message == (
        "image-scripts/install-kernel.sh failed (packer exited with 1); its last lines:\n"
        "    E: Unable to locate package linux-image\n"
        "    the second line"
    )
    assert "run the same command again" in caught.value.hint


def test_a_failed_step_after_the_scripts_is_not_blamed_on_the_last_script(stand_in: StandIn, tmp_path: Path) -> None:
    text = (
        "==> golden.amazon-ebs.golden: Provisioning with shell script: /x/clean-image.sh\n"
        "==> golden.amazon-ebs.golden: cleaned\n"
        "==> golden.amazon-ebs.golden: Provisioning with shell script: /tmp/packer-shell612789731\n"
        "==> golden.amazon-ebs.golden: rm: cannot remove /var/tmp/goldbake\n"
    )
    with pytest.raises(BakeError, match="packer could not build") as caught:
        build(stand_in.prints(text, 1), tmp_path)
    assert "clean" not in caught.value.message
    assert "rm: cannot remove" in caught.value.message


def test_what_packer_says_before_any_script_is_the_reason(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(BakeError, match=r"packer could not build [^\n]*\n    Timeout waiting for SSH") as caught:
        build(stand_in.prints("==> system.null.local: Timeout waiting for SSH.\n", 1), tmp_path)
    assert "install" not in caught.value.message


def test_an_error_with_many_details_is_told_from_its_beginning(stand_in: StandIn, tmp_path: Path) -> None:
    """Packer prints it three times, with all that Google says about it."""
    words = "Error creating instance: googleapi: Error 403: Required 'compute.instances.create' permission for 'projects/p'"
    details = ["Details:", "[", *(f'  "detail {number}"' for number in range(12)), "]", ", forbidden"]
    printed = [f"==> googlecompute.golden: {line}" for line in [words, *details]]
    printed += [f"Build 'googlecompute.golden' errored after 3 seconds: {words}", *details, "==> Some builds didn't complete successfully"]
    printed += [f"--> googlecompute.golden: {words}", *details]
    with pytest.raises(BakeError) as caught:
        build(stand_in.prints("\n".join(printed) + "\n", 1), tmp_path)
    assert caught.value.message.splitlines()[1] == f"    {words}"
    assert caught.value.message.count("Details:") == 1


def test_only_the_last_twenty_lines_of_a_script_are_told(stand_in: StandIn, tmp_path: Path) -> None:
    said = "".join(f"==> system.null.local: line {number}\n" for number in range(50))
    with pytest.raises(BakeError) as caught:
        build(stand_in.prints("==> system.null.local: Provisioning with shell script: /x/a.sh\n" + said, 1), tmp_path)
    assert caught.value.message.splitlines()[1:] == [f"    line {number}" for number in range(30, 50)]


def test_a_secret_in_the_output_is_not_told(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(BakeError) as caught:
        build(stand_in.prints("==> system.null.local: token tok-123456 refused\n", 1), tmp_path, access_token=Secret("tok-123456"))
    assert "token *** refused" in caught.value.message


def test_lines_are_handed_over_without_packers_prefix(stand_in: StandIn, tmp_path: Path) -> None:
    text = "==> system.null.local: one\n    gpu-agent.googlecompute.golden: two\n==> null.local: three\n==> Wait completed after 1 s\n"
    assert build(stand_in.prints(text, 0), tmp_path) == ["one", "two", "three", "==> Wait completed after 1 s"]


def test_variables_travel_in_the_environment_and_never_as_arguments(stand_in: StandIn, tmp_path: Path) -> None:
    build(stand_in.does("exit 0"), tmp_path, token=Secret("tok-abcdef"), ssh_port=2222, flag=True, off=False, left_out=None)
    assert stand_in.argv == ["build", "-color=false", "-timestamp-ui=false", str(tmp_path)]
    given = {name: value for name, value in stand_in.env.items() if name.startswith("PKR_VAR_")}
    assert given == {"PKR_VAR_token": "tok-abcdef", "PKR_VAR_ssh_port": "2222", "PKR_VAR_flag": "true", "PKR_VAR_off": "false"}


def test_one_layer_is_built_by_its_name(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("exit 0").build(tmp_path, {}, print, only="driver")
    assert "-only=driver.*" in stand_in.argv


def test_plugins_and_configuration_are_goldbakes_own(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKER_PLUGIN_PATH", "/of/the/user")
    monkeypatch.setenv("PACKER_LOG", "1")
    build(stand_in.does("exit 0"), tmp_path)
    seen = {name: stand_in.env.get(name) for name in ("PACKER_PLUGIN_PATH", "PACKER_CONFIG_DIR", "CHECKPOINT_DISABLE", "PACKER_LOG")}
    assert seen == {
        "PACKER_PLUGIN_PATH": f"{tmp_path}/plugins",
        "PACKER_CONFIG_DIR": f"{tmp_path}/config",
        "CHECKPOINT_DISABLE": "1",
        "PACKER_LOG": None,
    }


def test_an_environment_for_the_cloud_is_added(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("exit 0").build(tmp_path, {}, print, env={"AWS_REGION": "eu-west-1"})
    assert stand_in.env["AWS_REGION"] == "eu-west-1"


def test_a_stop_ends_packer_by_sigterm_and_says_so(stand_in: StandIn, tmp_path: Path) -> None:
    packer = stand_in.does(f'trap "touch {tmp_path}/cleaned; exit 1" TERM\necho running\nwhile :; do sleep 0.05; done')
    stop, lines = threading.Event(), list[str]()

    def on_line(line: str) -> None:
        lines.append(line)
        stop.set()

    with pytest.raises(BakeError, match="packer was stopped"):
        packer.build(tmp_path, {}, on_line, stop=stop)
    assert lines == ["running"]
    assert (tmp_path / "cleaned").exists()


def test_an_interrupt_ends_packer_before_it_is_passed_on(stand_in: StandIn, tmp_path: Path) -> None:
    packer = stand_in.does(
        f'trap "touch {tmp_path}/cleaned; exit 1" TERM\necho $$ > {tmp_path}/pid\necho running\nwhile :; do sleep 0.05; done'
    )

    def on_line(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packer.build(tmp_path, {}, on_line)
    assert (tmp_path / "cleaned").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_killed_packer_is_a_bake_error(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(BakeError, match=f"exited with -{signal.SIGKILL.value}"):
        build(stand_in.does("kill -9 $$"), tmp_path)


def test_validate_passes_variables_and_accepts_a_valid_folder(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("exit 0").validate(tmp_path, {"bake": "sample"}, env={"AWS_ACCESS_KEY_ID": "x"})
    assert stand_in.argv == ["validate", str(tmp_path)]
    assert stand_in.env["PKR_VAR_bake"] == "sample"
    assert stand_in.env["AWS_ACCESS_KEY_ID"] == "x"


def test_validate_tells_what_packer_refuses(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(GoldbakeError, match="Unsupported argument") as caught:
        stand_in.prints("Error: Unsupported argument\n\n  on source.pkr.hcl line 3\n", 1).validate(tmp_path, {})
    assert str(tmp_path) in caught.value.message
    assert "packer/templates" in caught.value.hint


def test_validate_does_not_tell_a_secret(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(GoldbakeError) as caught:
        stand_in.does('echo "Error: $PKR_VAR_token"; exit 1').validate(tmp_path, {"token": Secret("tok-zyxwvu")})
    assert "tok-zyxwvu" not in caught.value.message


def test_fmt_check_is_empty_when_nothing_would_change(stand_in: StandIn, tmp_path: Path) -> None:
    assert stand_in.does("exit 0").fmt_check(tmp_path) == ""
    assert stand_in.argv == ["fmt", "-check", "-diff", str(tmp_path)]


def test_fmt_check_gives_the_difference(stand_in: StandIn, tmp_path: Path) -> None:
    assert stand_in.prints("-a=1\n+a = 1\n", 3).fmt_check(tmp_path) == "-a=1\n+a = 1"


def test_init_and_install_name_folder_binary_and_source(stand_in: StandIn, tmp_path: Path) -> None:
    packer = stand_in.does("exit 0")
    packer.init(tmp_path)
    assert stand_in.argv == ["init", str(tmp_path)]
    packer.install_plugin(tmp_path / "packer-plugin-amazon", "github.com/hashicorp/amazon")
    assert stand_in.argv == ["plugins", "install", "--path", f"{tmp_path}/packer-plugin-amazon", "github.com/hashicorp/amazon"]


def test_a_failed_init_is_a_process_error(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="no such plugin"):
        stand_in.does("echo no such plugin >&2; exit 1").init(tmp_path)


def test_a_packer_that_is_gone_is_a_missing_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        build(Packer(tmp_path / "none", tmp_path, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Packer v1.16.0\n\nYour version of Packer is out of date!", "1.16.0"),
        ("Packer v1.16.0-dev", ""),
        ("packer: usage: packer [infile]", ""),
        ("", ""),
    ],
)
def test_the_version_is_read_from_what_it_prints(stand_in: StandIn, said: str, version: str) -> None:
    assert stand_in.prints(said, 0).version() == version


@pytest.mark.parametrize("kind", ["absent", "no program", "a folder"])
def test_what_cannot_be_run_has_no_version(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "packer"
    if kind == "no program":
        path.write_text("text")
    elif kind == "a folder":
        path.mkdir()
    assert version_of(path) == ""


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("==> a.null.local: Provisioning with shell script: /home/me/goldbake/image-scripts/install-driver.sh", "install-driver"),
        ("Provisioning with shell script: install-driver.sh", "install-driver"),
        ("Provisioning with shell script: /tmp/packer-shell123", None),
        ("installed install-driver.sh", None),
    ],
)
def test_the_script_that_a_line_announces(line: str, script: str | None) -> None:
    assert script_of(line) == script


def test_waiting_for_a_stop_takes_no_time_when_packer_ends_by_itself(stand_in: StandIn, tmp_path: Path) -> None:
    began = time.monotonic()
    stand_in.does("exit 0").build(tmp_path, {}, print, stop=threading.Event())
    assert time.monotonic() - began < 30
