"""Throw-away machines: an overlay over a real Debian root, entered with chroot in namespaces of its own, so that nothing stays mounted."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldbake import proc
from tests.shell.repository import Package, Pool

UPLOADED = "/var/tmp/goldbake"
"""Where a bake has its scripts and files, as in goldbake/render.py."""

_ENTER = """\
set -e
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,index=off" "$AT"
mount -t proc proc "$AT/proc"
mount --rbind /dev "$AT/dev"
exec chroot "$AT" env --ignore-environment "$@"
"""

_SNAPSHOT = """\
set -e
cd /
find etc home opt boot usr/bin usr/sbin usr/local usr/lib/goldbake usr/lib/systemd usr/share/goldbake root var/lib/dkms var/spool/cron \
    ! -type s -printf '%p\\t%y %m %U:%G %l\\n' 2>/dev/null | sort || true # not every folder is on every machine
echo ---
find etc home opt boot usr/bin/nvidia* usr/lib/goldbake usr/lib/systemd/system usr/local root var/lib/dkms -type f -print0 2>/dev/null |
    sort -z | xargs -0 sha256sum
echo ---
dpkg-query -W -f '${binary:Package}\\t${Version} ${Status}\\n'
apt-mark showhold | sed 's/$/\\theld/'
"""

_WRITE = 'mkdir -p "$(dirname "$1")" && base64 --decode >"$1" && chmod "$2" "$1"'


@dataclass(frozen=True)
class Ended:
    """What a program left: its exit code and all that it printed."""

    code: int
    output: str


class Machine:
    """A root file system whose changes lie in `folder`; `below` are the trees that it starts from, the lowest last."""

    def __init__(self, folder: Path, below: Sequence[Path]) -> None:
        self._below = tuple(below)
        self._upper, self._work, self._at = (folder / name for name in ("upper", "work", "at"))
        for path in (self._upper, self._work, self._at):
            path.mkdir(parents=True)

    @property
    def layers(self) -> tuple[Path, ...]:
        """What a machine that continues from here starts from."""
        return (self._upper, *self._below)

    def run(self, *argv: str, env: Mapping[str, str] | None = None, input: str | None = None, timeout: float = 120) -> Ended:
        """Run a program in the machine to its end, whatever its exit code."""
        given = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", **proxies()}
        given.update(env or {})
        # A PID namespace ends every process with the first, agents of gpg too; with the mount namespace the mounts go.
        outside = {"LOWER": ":".join(map(str, self._below)), "UPPER": str(self._upper), "WORK": str(self._work), "AT": str(self._at)}
        done = proc.run(
            ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "enter"]
            + [f"{name}={value}" for name, value in given.items()]
            + list(argv),
            env=outside,
            input=input,
            check=False,
            timeout=timeout,
        )
        return Ended(done.code, done.stdout + done.stderr)

    def ok(self, *argv: str, env: Mapping[str, str] | None = None, input: str | None = None) -> str:
        """Run a program that must succeed; what it printed."""
        ended = self.run(*argv, env=env, input=input)
        assert ended.code == 0, f"{argv}: {ended.output}"
        return ended.output

    def script(self, name: str, variables: Mapping[str, str]) -> Ended:
        """Run an image-script as Packer does."""
        given = {**variables, "GOLDBAKE_SCRIPTS": f"{UPLOADED}/scripts", "GOLDBAKE_FILES": f"{UPLOADED}/files"}
        return self.run("bash", f"{UPLOADED}/scripts/{name}.sh", env=given)

    def does(self, name: str, variables: Mapping[str, str]) -> str:
        """Run an image-script that must succeed; what it printed."""
        ended = self.script(name, variables)
        assert ended.code == 0, ended.output
        return ended.output

    def does_twice(self, name: str, variables: Mapping[str, str]) -> str:
        """Run an image-script that must succeed, and once more, which must change nothing; what it printed first."""
        output = self.does(name, variables)
        before = self.snapshot()
        self.does(name, variables)
        assert self.snapshot() == before
        return output

    def fails(self, name: str, variables: Mapping[str, str]) -> str:
        """Run an image-script that must end with an error of its own; what it printed."""
        ended = self.script(name, variables)
        assert ended.code == 1, ended.output
        assert "error: " in ended.output
        return ended.output

    def installed(self) -> dict[str, str]:
        """The installed packages with their versions."""
        listed = self.ok("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n").splitlines()
        return {name: version for status, name, version in map(str.split, listed) if status == "installed"}

    def install(self, pool: Pool, *packages: Package) -> None:
        """Install packages without a repository, whatever they depend on."""
        for package in packages:
            self.write(f"/var/cache/packages/{package.name}.deb", pool.deb(package))
        self.ok("sh", "-c", "dpkg --install --force-depends /var/cache/packages/*.deb && rm -r /var/cache/packages")

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file in the machine, its folder included."""
        data = content.encode() if isinstance(content, str) else content
        self.ok("sh", "-c", _WRITE, "write", path, f"{mode:o}", input=base64.b64encode(data).decode())

    def read(self, path: str) -> str:
        return self.ok("cat", path)

    def exists(self, path: str) -> bool:
        return self.run("sh", "-c", '[ -e "$1" ] || [ -L "$1" ]', "sh", path).code == 0

    def changes(self) -> list[str]:
        """All paths that differ from what the machine started from."""
        return sorted(str(path.relative_to(self._upper)) for path in self._upper.rglob("*"))

    def snapshot(self) -> dict[str, str]:
        """What a script may have changed: paths with kind, mode, owner and target, contents, packages with their holds."""
        state: dict[str, str] = {}
        kinds, contents, packages = self.ok("bash", "-c", _SNAPSHOT).split("---\n")
        for line in kinds.splitlines() + packages.splitlines():
            name, _, rest = line.partition("\t")
            state[name if name not in state else f"{name} (hold)"] = rest
        for line in contents.splitlines():
            digest, _, name = line.partition("  ")
            state[f"{name} (content)"] = digest
        return state


def proxies() -> dict[str, str]:
    """The proxy that this machine reaches mirrors through, which has no way to our loopback."""
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    found = {name: os.environ[name] for name in names if name in os.environ}
    return {**found, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"} if found else {}
