"""A launch ends with agents online, or with nothing left and a reason."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from goldbake.azdo.errors import Kind, azdo_error
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import CapacityError, Exit, GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.secret import Secret
from launch import fleet, removal, service
from launch.journal import State
from launch.recorded import find_image
from launch.service import LaunchRequest
from tests.unit.launch.conftest import reap_plan, record_image, remove, run_launch
from tests.unit.launch.field import PAT
from tests.unit.launch.foldercloud import Fault, FolderCloud, FolderDirectory


def _failing(call: str, failure: Exception, times: int = 1000, first: int = 1) -> Fault:
    """Fail the `first` and the following calls whose name begins with `call`, `times` times."""
    mutex, seen = threading.Lock(), [0]

    def fault(name: str, _: int) -> None:
        if not name.startswith(call):
            return
        with mutex:
            seen[0] += 1
            mine = first <= seen[0] < first + times
        if mine:
            raise failure

    return fault


def _capacity(scope: Scope, code: str = "InsufficientInstanceCapacity") -> Failure:
    return Failure(scope, code, f"there is no capacity ({code})")


def _status(**fields: object) -> str:
    return "goldbake-status: " + json.dumps({"attempts": 1, **fields}) + "\r\n"


def _assert_nothing_left(paths: Paths, cloud: FolderCloud, foreign: list[str] | None = None) -> None:
    assert cloud.names() == (foreign or [])
    assert [name for name in cloud.agent_names() if name != "goldbake-theirs"] == []
    assert service.entries(paths) == []


def test_a_launch_reports_its_agents_and_leaves_a_journal(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    report = run_launch(paths, cloud, request_)
    assert [started.agent for started in report.started] == ["goldbake-i-l1-1", "goldbake-i-l1-2"]
    assert all(started.online and started.marks["online"] >= started.marks["created"] for started in report.started)
    (entry,) = service.entries(paths)
    assert (entry.state, entry.count, entry.pool_id) == (State.RUNNING, 2, 7)
    assert entry.instances == {"i-l1-1": "goldbake-i-l1-1", "i-l1-2": "goldbake-i-l1-2"}
    document = json.loads(json.dumps(report.document()))
    assert document["launch"] == "l1"
    assert document["pool_page"] == "https://127.0.0.1:1/demo/_settings/agentpools?poolId=7&view=agents"


def test_every_resource_has_the_four_tags_from_its_create_call(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_, ttl=600)
    for path in (cloud.folder / "resources").iterdir():
        tags = json.loads(path.read_text())["tags"]
        assert set(tags) == {"managed-by", "goldbake-launch", "goldbake-image", "goldbake-expires"}
        assert tags["managed-by"] == "goldbake"
        assert int(tags["goldbake-expires"]) == service.entries(paths)[0].expires


def test_the_pat_is_in_the_instances_user_data_and_in_no_file_or_line_of_ours(
    paths: Paths, cloud: FolderCloud, request_: LaunchRequest
) -> None:
    said = io.StringIO()
    report = run_launch(paths, cloud, request_, progress=Progress(said))
    told = json.loads((cloud.folder / "resources" / "i-l1-1.json").read_text())["user_data"]
    assert PAT in told
    ours = b"".join(path.read_bytes() for path in paths.state.rglob("*") if path.is_file())
    assert PAT not in ours.decode(errors="replace") + said.getvalue() + json.dumps(report.document()) + repr(request_)


def test_without_waiting_a_launch_returns_before_any_agent_is_online(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    cloud.online = False
    report = run_launch(paths, cloud, request_, wait=False)
    assert not any(started.online for started in report.started)
    assert service.entries(paths)[0].state is State.RUNNING


@pytest.mark.parametrize("call", ["create-volume", "create"])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_wrong_request_at_any_create_call_leaves_nothing(
    paths: Paths, tmp_path: Path, request_: LaunchRequest, call: str, first: int
) -> None:
    fault = _failing(f"{call} ", Failure(Scope.REQUEST, "InvalidParameterValue", "no such type", hint="name another"), first=first)
    cloud = FolderCloud(tmp_path / "cloud", fault=fault)
    foreign = cloud.foreign()
    with pytest.raises(Failure, match="no such type") as caught:
        run_launch(paths, cloud, request_, count=3)
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.hint == "name another"
    _assert_nothing_left(paths, cloud, foreign)


def test_a_permission_stops_everything_at_once(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create ", Failure(Scope.ACCOUNT, "UnauthorizedOperation", "you may not")))
    with pytest.raises(Failure) as caught:
        run_launch(paths, cloud, request_, count=1)
    assert caught.value.exit_code is Exit.MISSING
    assert sum(call.startswith("create ") for call in cloud.calls) == 1
    _assert_nothing_left(paths, cloud)


def test_a_full_zone_is_left_for_the_next(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create-volume north-1", _capacity(Scope.ZONE)))
    report = run_launch(paths, cloud, request_, count=1)
    assert report.started[0].instance.place == "north-2"


def test_a_full_region_is_not_tried_zone_by_zone(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create-volume north", _capacity(Scope.REGION, "VcpuLimitExceeded")))
    report = run_launch(paths, cloud, request_, count=1)
    assert report.started[0].instance.place == "south-1"
    assert "create-volume north-2" not in cloud.calls


def test_no_capacity_anywhere_names_every_place_and_exits_with_5(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create ", _capacity(Scope.ZONE)))
    foreign = cloud.foreign()
    with pytest.raises(CapacityError, match=r"north-1: Insuff.*north-2: Insuff.*south-1: Insuff") as caught:
        run_launch(paths, cloud, request_)
    assert caught.value.exit_code is Exit.CAPACITY
    _assert_nothing_left(paths, cloud, foreign)


def test_no_capacity_anywhere_says_what_each_refusal_said_to_do(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    quota = Failure(Scope.REGION, "VcpuLimitExceeded", "0 of 0 vCPUs", hint="`raise-quota north`")
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create ", quota))
    with pytest.raises(CapacityError) as caught:
        run_launch(paths, cloud, request_, count=1)
    assert caught.value.hint == "`raise-quota north`"


def test_a_passing_failure_is_tried_again_and_not_for_ever(
    paths: Paths, tmp_path: Path, request_: LaunchRequest, short_waits: None
) -> None:
    throttled = Failure(Scope.RETRY, "RequestLimitExceeded", "too many calls")
    cloud = FolderCloud(tmp_path / "cloud", fault=_failing("create ", throttled, times=fleet.TRIES - 1))
    run_launch(paths, cloud, request_, count=1)
    assert sum(call.startswith("create ") for call in cloud.calls) == fleet.TRIES
    remove(paths, cloud, _plan_all(paths, cloud))
    cloud = FolderCloud(tmp_path / "cloud2", fault=_failing("create ", throttled))
    with pytest.raises(Failure, match="too many calls") as caught:
        run_launch(paths, cloud, request_, count=1)
    assert caught.value.exit_code is Exit.FAILED
    _assert_nothing_left(paths, cloud)


def test_a_deletion_that_fails_twice_is_tried_again(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    fault = _failing("delete", Failure(Scope.RETRY, "DependencyViolation", "in use"), times=2)
    cloud = FolderCloud(tmp_path / "cloud", fault=fault)
    foreign = cloud.foreign()
    run_launch(paths, cloud, request_)
    report = remove(paths, cloud, _plan_all(paths, cloud))
    report.require_nothing_left()
    assert len(report.removed) == 4
    assert report.agents == ["goldbake-i-l1-1", "goldbake-i-l1-2"]
    _assert_nothing_left(paths, cloud, foreign)


def test_what_cannot_be_deleted_is_named_with_the_command(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    def fault(name: str, count: int) -> None:
        if name == "delete" or (name.startswith("create ") and count == 2):
            raise Failure(Scope.REQUEST, "OperationNotPermitted", "it is protected")

    cloud = FolderCloud(tmp_path / "cloud", fault=fault)
    cloud.removal_s = 0.2
    with pytest.raises(Failure, match=r"it is protected; 3 things of launch l1 could not be removed: .*volume vol-i-l1-1") as caught:
        run_launch(paths, cloud, request_, progress=Progress(said := io.StringIO()))
    assert "removing what launch l1 has made failed" in said.getvalue()
    assert "may have left something" not in said.getvalue(), "it is told what"
    assert caught.value.hint == "`./inv destroy --launch l1 --yes` removes it"
    (entry,) = service.entries(paths)
    assert entry.state is State.REMOVING
    unprotected = FolderCloud(tmp_path / "cloud")
    assert [doomed.why for doomed in reap_plan(paths, unprotected).launches] == ["its removal was interrupted"]
    remove(paths, unprotected, reap_plan(paths, unprotected)).require_nothing_left()
    _assert_nothing_left(paths, unprotected)


def test_an_instance_that_dies_after_its_create_call_ends_the_launch(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    cloud.online, cloud.dies = False, "the instance was terminated (Server.InsufficientInstanceCapacity)"
    with pytest.raises(Failure, match="InsufficientInstanceCapacity") as caught:
        run_launch(paths, cloud, request_)
    assert caught.value.exit_code is Exit.CAPACITY
    _assert_nothing_left(paths, cloud)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("auth", Exit.MISSING),
        ("permission", Exit.MISSING),
        ("pool", Exit.USAGE),
        ("input", Exit.USAGE),
        ("gpu", Exit.FAILED),
        ("new", Exit.FAILED),
    ],
)
def test_a_first_boot_that_failed_is_not_waited_for(
    paths: Paths, cloud: FolderCloud, request_: LaunchRequest, kind: str, code: Exit
) -> None:
    cloud.online = False
    cloud.prints = "[ OK ] Reached target\r\n" + _status(
        phase="failed", error=kind, reason="that was it", hint="do this", timings={"failed": 3.0}
    )
    with pytest.raises(Failure) as caught:
        run_launch(paths, cloud, request_, timeout=60)
    said = re.fullmatch(rf"first boot of (i-l1-\d) failed \({kind}\): that was it", caught.value.message)
    assert said is not None, caught.value.message
    assert caught.value.exit_code is code
    folder = paths.state / "failed-launches" / "l1"
    assert caught.value.hint == f"do this; the consoles are in {folder}"
    assert "Reached target" in (folder / f"{said[1]}.log").read_text()
    _assert_nothing_left(paths, cloud)


def test_a_launch_that_takes_too_long_says_how_far_it_came(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    cloud.online = False
    cloud.prints = _status(phase="probe", reason="no route", timings={"started": 1.0, "probe": 1.5}) + "last words\r\n"
    with pytest.raises(Failure, match=r"not online after 0 s: it reached the phase probe \(no route\).*\n    last words") as caught:
        run_launch(paths, cloud, request_, timeout=0.1)
    assert "--timeout" in caught.value.hint
    _assert_nothing_left(paths, cloud)


def test_a_service_that_fails_for_a_moment_is_asked_again(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    trouble = azdo_error(Kind.FAILING, organization="https://x", request="GET agents", status=500, said="")
    directory = FolderDirectory(cloud, fault=_failing("agents", trouble, times=2))
    assert all(started.online for started in run_launch(paths, cloud, request_, directory=directory).started)


def test_a_pat_that_is_revoked_meanwhile_ends_the_launch(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    revoked = azdo_error(Kind.PAT_REJECTED, organization="https://x", status=401, said="", tokens="https://x/tokens")
    directory = FolderDirectory(cloud, fault=_failing("agents", revoked))
    with pytest.raises(MissingError, match=r"does not accept the PAT.*agent goldbake-i-l1-[12]"):
        run_launch(paths, cloud, request_, directory=directory)
    assert cloud.names() == []
    assert [entry.state for entry in service.entries(paths)] == [State.AGENTS_LEFT]


def test_an_image_that_is_not_there_creates_nothing(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    with pytest.raises(UsageError, match="no baked image other for local") as caught:
        run_launch(paths, cloud, request_, image="other")
    assert caught.value.hint == "bake it: ./inv bake --cloud local --image other"
    assert cloud.calls == []


def test_an_artifact_that_was_changed_is_not_launched(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    artifact = paths.artifacts / "gpu-agent.qcow2"
    assert run_launch(paths, cloud, request_, artifact=str(artifact)).artifact == str(artifact)
    artifact.write_bytes(b"something else")
    with pytest.raises(UsageError, match="was changed") as caught:
        run_launch(paths, cloud, request_, artifact=str(artifact))
    assert str(artifact) in caught.value.hint


def test_where_nothing_is_baked_an_artifact_is_answered_with_how_to_bake(paths: Paths, request_: LaunchRequest) -> None:
    with pytest.raises(UsageError, match="is not recorded") as caught:
        find_image(paths, replace(request_, cloud=Cloud.GCP, artifact="projects/p/global/images/i"))
    assert "./inv bake --cloud gcp" in caught.value.hint


def test_a_simulated_agent_is_not_launched_against_a_real_service(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    with pytest.raises(UsageError, match="simulated agent") as caught:
        run_launch(paths, cloud, request_, directory=FolderDirectory(cloud, simulated=False))
    assert "--agent microsoft" in caught.value.hint
    assert cloud.calls == []
    record_image(paths, agent="microsoft")
    assert run_launch(paths, cloud, request_, directory=FolderDirectory(cloud, simulated=False)).started


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "--count 0"),
        ({"count": 1001}, "--count 1001"),
        ({"ttl": 59}, "--ttl of 59 s"),
        ({"prefix": "a b"}, "--prefix 'a b'"),
        ({"labels": {"PATH": "x"}}, "label PATH is reserved"),
        ({"work": "-x"}, "--work '-x'"),
        ({"proxy": "socks5://x"}, "proxy"),
        ({"organization": "http://x/y"}, "https"),
        ({"pat": Secret("")}, "no PAT"),
        ({"ca": Path("/no/such/file")}, "/no/such/file"),
    ],
)
def test_a_request_that_cannot_be_creates_nothing(
    paths: Paths, cloud: FolderCloud, request_: LaunchRequest, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(GoldbakeError, match=message):
        run_launch(paths, cloud, request_, **changes)
    assert cloud.names() == []
    assert service.entries(paths) == []


def test_reap_takes_what_is_past_its_time_and_nothing_else(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    foreign = cloud.foreign()
    run_launch(paths, cloud, request_, ttl=600)
    expires = service.entries(paths)[0].expires
    assert not reap_plan(paths, cloud, lambda: expires - 1.0)
    plan = reap_plan(paths, cloud, lambda: expires + 5.0)
    assert [(doomed.launch_id, doomed.why) for doomed in plan.launches] == [("l1", "its time was over 5 s ago")]
    remove(paths, cloud, plan, cautious=True).require_nothing_left()
    _assert_nothing_left(paths, cloud, foreign)


def test_in_a_shared_cloud_a_launch_without_a_journal_is_somebody_elses(paths: Paths, tmp_path: Path, request_: LaunchRequest) -> None:
    run_launch(paths, FolderCloud(tmp_path / "cloud"), request_, ttl=600)
    (service.launches(paths) / "l1.json").unlink()
    ours, shared = FolderCloud(tmp_path / "cloud"), FolderCloud(tmp_path / "cloud", shared=True)
    assert [doomed.why for doomed in reap_plan(paths, ours).launches] == ["it has no journal"]
    assert not reap_plan(paths, shared)
    assert reap_plan(paths, shared, lambda: 1e11)


def test_reap_leaves_a_launch_that_a_process_is_at_work_on(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    seen: list[removal.RemovalPlan] = []
    cloud.steps = _Once("after create", lambda: seen.append(reap_plan(paths, FolderCloud(cloud.folder))))  # type: ignore[assignment]
    run_launch(paths, cloud, request_)
    assert [(plan.launches, plan.busy) for plan in seen] == [((), ("l1",))]


def test_a_launch_that_came_up_after_the_plan_was_made_is_not_reaped(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    plans: list[removal.RemovalPlan] = []

    def snapshot() -> None:
        plan = reap_plan(paths, FolderCloud(cloud.folder))
        entry = service.entries(paths)[0]
        plans.append(
            removal.RemovalPlan((removal.Doomed("l1", Cloud.LOCAL, "the process that launched it is gone", (), entry),), plan.busy)
        )

    cloud.steps = _Once("after create", snapshot)  # type: ignore[assignment]
    run_launch(paths, cloud, request_)
    remove(paths, cloud, plans[0], cautious=True)
    assert len(cloud.instances("l1")) == 2


def test_reap_leaves_agents_that_the_service_calls_online_and_takes_them_later(
    paths: Paths, cloud: FolderCloud, request_: LaunchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_AGENTS_S", 0.1)
    run_launch(paths, cloud, request_, count=1, ttl=600)
    later = service.entries(paths)[0].expires + 1.0
    cloud.delete(cloud.resources("l1"))
    cloud.register("goldbake-i-l1-1", online=True)
    report = remove(paths, cloud, reap_plan(paths, cloud, lambda: later), cautious=True)
    assert report.agents_left == {"goldbake-i-l1-1": "the service calls it online"}
    with pytest.raises(GoldbakeError, match="still registered"):
        report.require_nothing_left()
    cloud.register("goldbake-i-l1-1", online=False)
    remove(paths, cloud, reap_plan(paths, cloud, lambda: later), cautious=True).require_nothing_left()
    assert not reap_plan(paths, cloud, lambda: later)


def test_destroy_takes_an_agent_that_the_service_still_calls_online(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_, count=1)
    cloud.delete(cloud.resources("l1"))
    cloud.register("goldbake-i-l1-1", online=True)
    remove(paths, cloud, _plan_all(paths, cloud)).require_nothing_left()
    _assert_nothing_left(paths, cloud)


def test_without_a_pat_machines_go_and_agents_are_named(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_, count=1)
    plan = _plan_all(paths, cloud)
    report = service.destroy(paths, Progress(io.StringIO()), plan, None, launchers={Cloud.LOCAL: cloud})
    assert cloud.names() == []
    assert report.agents_left == {"goldbake-i-l1-1": "no PAT for https://127.0.0.1:1/demo"}
    with pytest.raises(GoldbakeError, match="still registered: goldbake-i-l1-1") as caught:
        report.require_nothing_left()
    assert "AZP_TOKEN" in caught.value.hint


def test_a_simulated_service_that_has_ended_took_its_agents_along(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_, count=1)
    plan = _plan_all(paths, cloud)

    def gone(_: object) -> object:
        raise azdo_error(Kind.NOT_LISTENING, host="127.0.0.1:1")

    report = service.destroy(paths, Progress(io.StringIO()), plan, None, launchers={Cloud.LOCAL: cloud}, open_directory=gone)  # type: ignore[arg-type]
    report.require_nothing_left()
    assert service.entries(paths) == []


def test_the_line_of_several_instances_counts_the_agents(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    told: list[tuple[str, str]] = []

    class Told(Progress):
        def detail(self, stage: str, line: str) -> None:
            told.append((stage, line))

    cloud.batch = 10
    run_launch(paths, cloud, request_, progress=Told(io.StringIO()), count=3)
    of_all = [line for stage, line in told if stage == "instances"]
    assert of_all[1:] == [f"{count} of 3 agents online" for count in range(4)]


def test_destroy_of_nothing_in_particular_names_the_choice(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    launchers = {Cloud.LOCAL: cloud}
    with pytest.raises(UsageError, match="there is no launch zz") as caught:
        service.plan_destroy(paths, [Cloud.LOCAL], "zz", launchers=launchers)
    assert "nothing is launched" in caught.value.hint
    run_launch(paths, cloud, request_)
    with pytest.raises(UsageError, match="which launch") as caught:
        service.plan_destroy(paths, [Cloud.LOCAL], None, launchers=launchers)
    assert caught.value.hint == "name one of --launch l1, or --all"


def test_instances_lists_what_runs(paths: Paths, cloud: FolderCloud, request_: LaunchRequest) -> None:
    run_launch(paths, cloud, request_)
    found = service.instances(paths, [Cloud.LOCAL], launchers={Cloud.LOCAL: cloud})
    assert [instance.document()["launch"] for instance in found] == ["l1", "l1"]
    assert service.instances(paths, [Cloud.AWS], launchers={Cloud.LOCAL: cloud}) == []


def test_other_clouds_say_that_they_are_not_part_of_this_version(paths: Paths, request_: LaunchRequest) -> None:
    with pytest.raises(UsageError, match="no baked image for aws"):
        service.launch(paths, Progress(io.StringIO()), LaunchRequest(organization="x", pat=Secret(PAT), cloud=Cloud.AWS))


def _plan_all(paths: Paths, cloud: FolderCloud) -> removal.RemovalPlan:
    return service.plan_destroy(paths, [Cloud.LOCAL], None, everything=True, launchers={Cloud.LOCAL: cloud})


class _Once:
    """Steps that call something at the first of this name."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self.count = 0
        self._name = name
        self._act: Callable[[], None] | None = act
        self._mutex = threading.Lock()

    def __call__(self, name: str) -> None:
        self.count += 1
        with self._mutex:
            act, self._act = (self._act, None) if name == self._name else (None, self._act)
        if act is not None:
            act()
