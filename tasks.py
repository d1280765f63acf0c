"""The task table: flags → one call → print. `./inv --list` shows it, `./inv --help TASK` explains one."""

from __future__ import annotations

import shlex
import sys

from invoke import Collection, Context, task


@task(help={"fast": "only what needs no container, VM or Packer", "k": "pytest's -k expression"})
def test(c: Context, fast: bool = False, k: str = "") -> None:
    """Run the tests: unit and shell first, then those that bake, boot and break real images."""
    options = ["-m", "not slow"] if fast else []
    options += ["-k", k] if k else []
    c.run(shlex.join([sys.executable, "-m", "pytest", *options]), pty=sys.stdout.isatty())


@task
def lint(c: Context) -> None:
    """Run the linters and the type checker."""
    for tool in ("ruff check .", "ruff format --check .", "mypy"):
        c.run(f"{shlex.quote(sys.executable)} -m {tool}", pty=sys.stdout.isatty())


namespace = Collection(test, lint)
