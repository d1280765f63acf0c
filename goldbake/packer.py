"""Runs Packer: init, fmt, validate, build."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from goldbake import proc
from goldbake.errors import BakeError, GoldbakeError, ProcessError
from goldbake.secret import Secret, redact

Value = str | int | bool | Secret | None
"""What a Packer variable can be given; None leaves it at its default."""

_SCRIPT = re.compile(r"Provisioning with shell script: (?:.*/)?(?P<name>[a-z0-9-]+)\.sh$")
_PREFIX = re.compile(r"^(?:==>| {3}) (?:[a-z0-9-]+\.)?[a-z-]+\.[a-z]+: ?")
_CLOSING = ("Build '", "==> Wait completed", "==> Some builds", "==> Builds finished", "--> ", "Provisioning step had errors")
"""How the lines begin that Packer adds after what went wrong."""
_NEXT = re.compile(r"Provisioning with shell script: |Uploading .+ => ")
"""How the lines begin with which Packer announces the next provisioner."""

_KEPT_LINES = 20
_LOOKED_AT = 200
"""A plugin's error is printed three times, each with all its details: Google's have a dozen lines."""


class Packer:
    """One Packer binary with its own plugin and configuration folders, so that nothing of the user's Packer is read or changed."""

    def __init__(self, binary: Path, plugins: Path, config: Path) -> None:
        self.binary = binary
        self._environment = {
            "PACKER_PLUGIN_PATH": str(plugins),
            "PACKER_CONFIG_DIR": str(config),
            "CHECKPOINT_DISABLE": "1",
        }

    def version(self) -> str:
        """As `1.16.0`; empty when the program says nothing that looks like it."""
        return version_of(self.binary)

    def init(self, folder: Path) -> None:
        """Download the plugins that the folder's required_plugins names. Raises ProcessError."""
        proc.run([self.binary, "init", folder], env=self._environment)

    def install_plugin(self, binary: Path, source: str) -> None:
        """Install a plugin that lies here as `binary`. Raises ProcessError."""
        proc.run([self.binary, "plugins", "install", "--path", binary, source], env=self._environment)

    def fmt_check(self, folder: Path) -> str:
        """The difference to Packer's canonical format; empty when there is none."""
        done = proc.run([self.binary, "fmt", "-check", "-diff", folder], env=self._environment, check=False)
        return "" if done.code == 0 else (done.stdout + done.stderr).strip()

    def validate(self, folder: Path, variables: Mapping[str, Value], *, env: Mapping[str, str] | None = None) -> None:
        """Let Packer check the templates of a folder. Raises GoldbakeError with what Packer says."""
        done = proc.run([self.binary, "validate", folder], env=self._with(variables, env), check=False)
        if done.code != 0:
            said = (done.stdout + done.stderr).strip()
            raise GoldbakeError(
                f"packer refuses {folder}:\n{redact(said)}", hint="these files are generated: correct packer/templates, then ./inv validate"
            )

    def build(
        self,
        folder: Path,
        variables: Mapping[str, Value],
        on_line: Callable[[str], None],
        *,
        only: str | None = None,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        grace: float = 20.0,
    ) -> None:
        """Build the templates of a folder, or only the build block named `only` (a layer).

        Each line of output goes to `on_line`, without Packer's prefix. An interrupt or `stop` ends Packer by SIGTERM, on which it
        removes what it made in a cloud; it has `grace` seconds for that. Raises BakeError, which names the script that failed and its last lines.
        """
        argv: list[str | Path] = [self.binary, "build", "-color=false", "-timestamp-ui=false"]
        if only is not None:
            argv.append(f"-only={only}.*")
        follower = _Follower(on_line)
        try:
            proc.stream([*argv, folder], follower.line, env=self._with(variables, env), stop=stop, grace=grace)
        except ProcessError as error:
            if stop is not None and stop.is_set():
                raise BakeError("packer was stopped", hint="what it had made in a cloud it has removed") from error
            raise follower.failure(error) from error

    def _with(self, variables: Mapping[str, Value], env: Mapping[str, str] | None) -> dict[str, str]:
        """Variables travel in the environment: never in arguments, which every user of a machine can read, nor in a file that may stay."""
        given = {f"PKR_VAR_{name}": _text(value) for name, value in variables.items() if value is not None}
        return self._environment | dict(env or {}) | given


def script_of(line: str) -> str | None:
    """The image-script that this line of Packer's output announces, without `.sh`."""
    found = _SCRIPT.search(line)
    return found["name"] if found else None


def version_of(binary: Path) -> str:
    """The version of a Packer binary, as `1.16.0`; empty when it cannot be run or says something else."""
    try:
        done = proc.run([binary, "version"], env={"CHECKPOINT_DISABLE": "1"}, check=False, timeout=30)
    except (GoldbakeError, OSError):
        return ""
    found = re.match(r"Packer v(\d+\.\d+\.\d+)\s*$", done.stdout.partition("\n")[0])
    return found[1] if found else ""


class _Follower:
    """Follows the output of a build, so that a failure can be told in terms of the script that failed."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._script = ""
        self._lines: list[str] = []

    def line(self, raw: str) -> None:
        text = _PREFIX.sub("", raw, count=1)
        if _NEXT.match(text):
            self._script = script_of(text) or ""  # "" for a step of ours that is no image-script, as an upload
            self._lines.clear()
        elif text.strip() and not text.startswith(_CLOSING):
            self._lines.append(text)
            del self._lines[:-_LOOKED_AT]
        self._on_line(text)

    def failure(self, error: ProcessError) -> BakeError:
        where = f"image-scripts/{self._script}.sh failed" if self._script else "packer could not build"
        lines = self._lines if self._script else list(dict.fromkeys(self._lines))
        last = redact("\n".join("    " + line for line in lines[-_KEPT_LINES:]))
        return BakeError(
            f"{where} (packer exited with {error.code}); its last lines:\n{last}",
            hint="correct it and run the same command again: it goes on after the last layer that was kept",
        )


def _text(value: Value) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
