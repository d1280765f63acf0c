"""A program is run to its end, and what it said last is heard."""

from __future__ import annotations

import select
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from firstboot import run


def test_the_last_words_of_a_program_that_ends_just_after_a_look_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints and ends between the end of a wait for its words and the question whether it runs."""
    children: list[subprocess.Popen[bytes]] = []
    start, looks = subprocess.Popen, 0

    def popen(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments, **more))
        return children[0]

    def look(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks > 1:
            return select.select(*arguments)
        (tmp_path / "go").touch()
        children[0].wait(60)
        return [], [], []

    monkeypatch.setattr(run, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": popen}))
    monkeypatch.setattr(run, "select", SimpleNamespace(select=look))
    script = "sleep 9999 & until [ -e go ]; do sleep 0.01; done; echo the reason; exit 7"
    done = run.run(["sh", "-c", script], 60.0, cwd=str(tmp_path))
    assert (done.code, done.lines) == (7, ["the reason"])
