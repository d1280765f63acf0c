"""Every error that a user can meet.

    GoldbakeError          exit 1   something failed
    ├── UsageError         exit 2   a flag or name that cannot be
    │   ├── ConfigError    exit 2   images.yaml or images.lock.yaml is wrong
    │   └── NoImageError   exit 2   the image was not baked for this cloud, or is gone from it
    ├── ChecksFailed       exit 3   the image was baked, and its checks are red
    ├── MissingError       exit 4   a tool, permission, credential or pin is missing
    ├── CapacityError      exit 5   no capacity or quota anywhere it was allowed to look
    ├── ProcessError       exit 1   a program that we started failed
    ├── DownloadError      exit 1   a file could not be fetched, or is not the pinned one
    └── BakeError          exit 1   a stage of a bake failed

Each has one line of what (`message`, naming the wrong value) and one of what to do (`hint`).
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every task: the outer contract."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECKS = 3
    MISSING = 4
    CAPACITY = 5


class GoldbakeError(Exception):
    """Base of all errors that are reported as a line and a hint instead of a traceback."""

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GoldbakeError):
    """A flag, a name or a combination of them that cannot be."""

    exit_code = Exit.USAGE


class ConfigError(UsageError):
    """images.yaml or images.lock.yaml holds something that cannot work; the message has all problems."""


class NoImageError(UsageError):
    """There is nothing to start a machine from in this cloud; another cloud may have it."""


class ChecksFailed(GoldbakeError):
    """The image exists, but at least one of its checks failed."""

    exit_code = Exit.CHECKS


class MissingError(GoldbakeError):
    """A tool, a permission, a credential or a pin is missing; the hint has the exact command."""

    exit_code = Exit.MISSING


class CapacityError(GoldbakeError):
    """No capacity or quota in any place that this launch was allowed to use."""

    exit_code = Exit.CAPACITY


class ProcessError(GoldbakeError):
    """A program that we started failed; `code` is its exit code, negative for a signal."""

    def __init__(self, message: str, *, hint: str = "", code: int = 1, output: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.output = output


class DownloadError(GoldbakeError):
    """A file could not be fetched, or what came is not what was pinned."""


class BakeError(GoldbakeError):
    """A stage of a bake failed; the layers before it are kept."""
