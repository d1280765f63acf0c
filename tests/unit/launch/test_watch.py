"""The console's status lines become a timeline."""

from __future__ import annotations

import io
import json
import threading
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from goldbake.log import Progress
from launch.watch import MARK, Timeline, last_lines, statuses, wait_for_agent


def _line(phase: str, **timings: float) -> str:
    return f"\r\n{MARK}{json.dumps({'phase': phase, 'timings': timings})}\r\n"


def test_one_line_places_everything_that_came_before() -> None:
    timeline = Timeline()
    timeline.read(_line("online", started=4.0, register=5.0, verify=6.5, start=7.0, online=9.0), now=12.0)
    assert timeline.rounded() == {"kernel": 3.0, "first boot": 7.0, "registered": 9.5}
    assert timeline.phase == "online"


def test_a_line_that_is_read_late_does_not_move_the_start() -> None:
    timeline = Timeline()
    text = _line("started", started=4.0)
    timeline.read(text, now=5.0)
    text += _line("register", started=4.0, register=5.0)
    timeline.read(text, now=9.0)  # 3 s late
    assert timeline.marks["kernel"] == 1.0
    assert timeline.marks["first boot"] == 5.0


def test_a_console_that_lost_its_beginning_is_read_on() -> None:
    timeline = Timeline()
    first, second, third = (_line(phase, **{phase: at}) for phase, at in (("started", 1.0), ("probe", 2.0), ("online", 3.0)))
    timeline.read(first + second, now=5.0)
    timeline.read(second + third, now=6.0)
    assert timeline.phase == "online"


def test_the_start_is_never_before_the_create_call() -> None:
    timeline = Timeline()
    timeline.read(_line("started", started=400.0), now=2.0)
    assert timeline.marks["kernel"] == 0.0


def test_lines_that_are_cut_or_mixed_with_others_are_none() -> None:
    text = f'{MARK}{{"phase": "pro\nkernel: hello\n{_line("probe", probe=1.0)}{MARK}[1]\n{MARK}{{"phase": 3}}\n{MARK}'
    assert [status["phase"] for status in statuses(text)] == ["probe"]


@given(st.text())
def test_no_console_breaks_it(text: str) -> None:
    timeline = Timeline()
    timeline.read(text + MARK + text, now=1.0)
    last_lines(text, 3)


def test_the_end_of_a_console_is_shown_without_status_and_control_characters() -> None:
    text = "one\r\n\x1b[0;1;31mtwo\x1b[0m\r\n" + _line("started") + "\r\n\r\n"
    assert last_lines(text) == "[0;1;31mtwo[0m"
    assert last_lines(text, 2) == "    one\n    [0;1;31mtwo[0m"
    assert last_lines("") == ""


def test_what_a_machine_prints_while_the_pool_is_asked_is_read_as_well() -> None:
    consoles = iter([_line("register", started=4.0, register=5.0), _line("online", started=4.0, register=5.0, verify=6.5, online=9.0)])
    launcher: Any = SimpleNamespace(console=lambda _: next(consoles), poll_s=0.01)
    view: Any = SimpleNamespace(find=lambda _: SimpleNamespace(online=True), trouble="")
    timeline, instance = Timeline(), Any
    wait_for_agent(
        launcher, instance, "agent", view, timeline, Progress(io.StringIO()),  # type: ignore[arg-type]
        stage="instance", began=0.0, timeout=60, stop=threading.Event(), clock=lambda: 12.0,
    )  # fmt: skip
    assert set(timeline.marks) == {"kernel", "first boot", "registered", "online"}
