"""Many threads that wait cost few calls: states are asked for together, consoles within a budget."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from launch.aws.watch import ConsoleReader, died
from launch.base import Instance
from launch.observe import APPEAR_S, CONSOLES_AT_ONCE, CONSOLES_PER_S, LOOK_S, Consoles, Deaths, Seen
from tests.fakes.aws import NEWEST_NOBLE
from tests.unit.launch.aws.conftest import HOME, TYPE, Field
from tests.unit.launch.field import Clock


class _Listing:
    """What EC2 shows, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.shows: dict[str, Seen] = {}
        self.fails: Failure | None = None

    def __call__(self, launch_id: str) -> Iterable[tuple[str, Seen]]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return self.shows.items()


def _instance(name: str) -> Instance:
    return Instance(Cloud.AWS, "l1", 1, name, "gpu-agent", "us-east-1a", 0.0, 0, kind=TYPE)


def test_two_hundred_threads_ask_once() -> None:
    clock, listing = Clock(), _Listing()
    listing.shows = {f"i-{number}": Seen("running") for number in range(200)}
    deaths = Deaths(listing, died, clock)
    found: list[object] = []
    threads = [threading.Thread(target=lambda number=number: found.append(deaths.of(_instance(f"i-{number}")))) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [None] * 200
    assert listing.asked == 1
    clock.now += LOOK_S
    deaths.of(_instance("i-1"))
    deaths.of(_instance("i-2"))
    assert listing.asked == 2


def test_an_end_is_a_failure_with_its_reason() -> None:
    clock, listing = Clock(), _Listing()
    code = "Server.InsufficientInstanceCapacity"
    listing.shows = {"i-1": Seen("terminated", code, f"{code}: Insufficient capacity to satisfy instance request")}
    found = Deaths(listing, died, clock).of(_instance("i-1"))
    assert found is not None
    assert (found.scope, found.code) == (Scope.ZONE, code)
    assert found.message.count(code) == 1
    assert "i-1 in us-east-1a is terminated" in found.message
    listing.shows = {"i-1": Seen("stopped", "New.Code", "as never seen")}
    found = Deaths(listing, died, clock).of(_instance("i-1"))
    assert found is not None
    assert (found.scope, found.exit_code) == (Scope.REQUEST, 1)
    assert "New.Code: as never seen" in found.message


def test_what_was_never_shown_is_dead_only_after_a_while_and_what_was_shown_at_once() -> None:
    clock, listing = Clock(), _Listing()
    deaths = Deaths(listing, died, clock)
    assert deaths.of(_instance("i-1")) is None
    clock.now += APPEAR_S - 1
    assert deaths.of(_instance("i-1")) is None
    clock.now += LOOK_S
    assert deaths.of(_instance("i-1")) is not None
    listing.shows = {"i-2": Seen("running")}
    clock.now += LOOK_S
    assert deaths.of(_instance("i-2")) is None
    listing.shows = {}
    clock.now += LOOK_S
    found = deaths.of(_instance("i-2"))
    assert found is not None
    assert "i-2 in us-east-1a is gone" in found.message


def test_a_look_that_fails_for_a_moment_is_no_death() -> None:
    clock, listing = Clock(), _Listing()
    deaths = Deaths(listing, died, clock)
    listing.fails = Failure(Scope.RETRY, "RequestLimitExceeded", "too many")
    assert deaths.of(_instance("i-1")) is None
    listing.fails = Failure(Scope.ACCOUNT, "ExpiredToken", "too old")
    clock.now += LOOK_S
    with pytest.raises(Failure, match="too old"):
        deaths.of(_instance("i-1"))


def test_consoles_of_200_instances_stay_within_the_budget(aws_field: Field) -> None:
    clock, ec2 = Clock(), aws_field.aws.ec2(HOME)
    consoles = Consoles(ConsoleReader(lambda _: ec2), clock)
    for _ in range(10):
        for number in range(200):
            consoles.read(_instance(f"i-{number:017x}"))
        clock.now += 1
    asked = [call for call in aws_field.fake.calls if call.action == "GetConsoleOutput"]
    assert len(asked) == CONSOLES_AT_ONCE + 9 * CONSOLES_PER_S
    assert len({call.parameters["InstanceId"] for call in asked}) == len(asked), "one has had two turns before another had one"


def test_a_console_is_text_and_is_kept_between_looks(aws_field: Field) -> None:
    ec2 = aws_field.aws.ec2(HOME)
    made = ec2.run_instances(ImageId=NEWEST_NOBLE.id_in(HOME), InstanceType=TYPE, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    text = 'goldbake-status: {"phase": "probe", "reason": "keine Straße"}\r\n' * 20
    aws_field.fake.book.consoles[made] = text
    clock = Clock()
    consoles = Consoles(ConsoleReader(lambda _: ec2), clock)
    assert consoles.read(_instance(made)) == text
    aws_field.fake.book.consoles[made] = "new"
    assert consoles.read(_instance(made)) == text
    clock.now += 5
    assert consoles.read(_instance(made)) == "new"
    aws_field.fake.refuse("RequestLimitExceeded", "GetConsoleOutput", times=None)
    clock.now += 5
    assert consoles.read(_instance(made)) == "new"
    assert next(call.parameters["Latest"] for call in aws_field.fake.calls if call.action == "GetConsoleOutput") in (True, "true")


def test_a_type_without_live_console_is_asked_for_the_kept_one(aws_field: Field) -> None:
    clock, ec2 = Clock(), aws_field.aws.ec2(HOME)
    consoles = Consoles(ConsoleReader(lambda _: ec2), clock)
    aws_field.fake.refuse("UnsupportedOperation", "GetConsoleOutput")
    for _ in range(2):
        consoles.read(_instance("i-00000000000000001"))
        clock.now += 5
    first, second = [call.parameters.get("Latest") for call in aws_field.fake.calls if call.action == "GetConsoleOutput"]
    assert (str(first).lower(), str(second).lower()) == ("true", "false")


def test_without_the_right_to_read_consoles_nothing_is_asked_again(aws_field: Field) -> None:
    clock, ec2 = Clock(), aws_field.aws.ec2(HOME)
    consoles = Consoles(ConsoleReader(lambda _: ec2), clock)
    aws_field.fake.refuse("UnauthorizedOperation", "GetConsoleOutput", times=None)
    for number in range(4):
        assert consoles.read(_instance(f"i-{number:017x}")) == ""
    assert aws_field.fake.actions(reading=True).count("GetConsoleOutput") == 1
