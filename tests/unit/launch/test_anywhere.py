"""One launch on the first of several clouds that has room: what makes it go on, what ends it, and that nothing stays behind."""

from __future__ import annotations

import io
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from goldbake import report
from goldbake.azdo.errors import Kind, azdo_error
from goldbake.clouds.failure import Failure, Scope
from goldbake.config.model import Cloud
from goldbake.errors import CapacityError, Exit, GoldbakeError, MissingError, NoImageError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import Records
from goldbake.secret import Secret
from launch import anywhere, flags, service
from launch.base import CloudOptions, LaunchSpec, Market, Place
from launch.request import LaunchReport, LaunchRequest
from tests.unit.launch.conftest import record_image
from tests.unit.launch.foldercloud import Fault, FolderCloud, FolderDirectory

IN_ORDER = (Cloud.AWS, Cloud.GCP, Cloud.AZURE)


class _Cloud(FolderCloud):
    """A folder that stands for a cloud of others; `unfit` is what its `prepare` raises."""

    unfit: GoldbakeError | None = None

    def prepare(self, spec: LaunchSpec, progress: Progress) -> None:
        super().prepare(spec, progress)
        if self.unfit is not None:
            raise self.unfit


@dataclass
class World:
    """Three clouds of one instance each, with an image in every one, and the service that all agents are in."""

    paths: Paths
    folder: Path
    clouds: dict[Cloud, _Cloud] = field(default_factory=dict)
    said: io.StringIO = field(default_factory=io.StringIO)
    refusals: dict[Cloud, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cloud in IN_ORDER:
            found = _Cloud(self.folder / cloud, shared=True, fault=self._fault(cloud))
            found.cloud = cloud
            found.order = [Place(f"{cloud}-north", f"{cloud}-north-1")]
            found.foreign()
            self.clouds[cloud] = found

    def _fault(self, cloud: Cloud) -> Fault:
        def fault(call: str, _: int) -> None:
            if call.startswith("create ") and cloud in self.refusals:
                raise self.refusals[cloud]

        return fault

    def refuse(self, cloud: Cloud, scope: Scope = Scope.REGION, code: str = "NoRoom", **more: Any) -> None:
        self.refusals[cloud] = Failure(scope, code, f"{cloud} would not start it ({code})", hint=f"ask {cloud} for more", **more)

    def launch(self, *clouds: Cloud, directory: FolderDirectory | None = None, **changes: Any) -> LaunchReport:
        request = LaunchRequest(organization="https://127.0.0.1:1/demo", pat=Secret("pat-of-the-anywhere-tests-0123456789"), timeout=60)
        names = iter(f"l{number}" for number in range(1, 9))
        requests = [replace(request, cloud=cloud, **changes) for cloud in clouds or IN_ORDER]
        return anywhere.launch(
            self.paths, Progress(self.said), requests, launchers=dict(self.clouds), directory=nullcontext(directory or _Everywhere(self)),
            new_id=lambda: next(names),
        )  # fmt: skip

    def ours(self) -> list[str]:
        return [name for cloud in self.clouds.values() for name in cloud.names() if name not in ("tagged", "theirs")]


class _Everywhere(FolderDirectory):
    """The agents of all clouds in one pool."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clouds[Cloud.AWS])
        self._all = [FolderDirectory(cloud) for cloud in world.clouds.values()]

    def agents(self, pool_id: int) -> Any:
        return {name: agent for one in self._all for name, agent in one.agents(pool_id).items()}

    def remove(self, pool_id: int, agent_id: int) -> None:
        for one in self._all:
            if any(agent.id == agent_id for agent in one.agents(pool_id).values()):
                one.remove(pool_id, agent_id)
                return


@pytest.fixture
def world(paths: Paths, tmp_path: Path) -> World:
    for cloud in IN_ORDER:
        made = record_image(paths, name=f"of-{cloud}")
        Records(paths.records).add(made.model_copy(update={"image": "gpu-agent", "cloud": cloud, "region": "r", "fingerprint": "f" * 64}))
    return World(paths, tmp_path / "clouds")


def test_the_first_cloud_that_has_room_is_the_only_one_that_is_asked(world: World) -> None:
    found = world.launch()
    assert (found.cloud, found.tried, len(found.started)) == (Cloud.AWS, (), 1)
    assert world.clouds[Cloud.GCP].calls == world.clouds[Cloud.AZURE].calls == []


def test_a_cloud_without_room_is_left_for_the_next_and_nothing_stays_there(world: World) -> None:
    world.refuse(Cloud.AWS)
    world.refuse(Cloud.GCP, Scope.ZONE)
    found = world.launch()
    assert (found.cloud, found.launch_id) == (Cloud.AZURE, "l3")
    assert [(one.cloud, one.code, one.left) for one in found.tried] == [(Cloud.AWS, "no-capacity", ""), (Cloud.GCP, "no-capacity", "")]
    assert found.notes == ()
    assert world.ours() == ["i-l3-1", "vol-i-l3-1"]
    assert [entry.launch_id for entry in service.entries(world.paths)] == ["l3"]
    said = world.said.getvalue()
    assert said.index("trying aws") < said.index("aws-north-1: NoRoom") < said.index("trying gcp") < said.index("trying azure")
    assert found.document()["tried"][0]["cloud"] == "aws"
    assert "tried     aws for" in report.launched(found)


@pytest.mark.parametrize(
    ("scope", "more"),
    [(Scope.ACCOUNT, {}), (Scope.ACCOUNT, {"exit_code": Exit.CAPACITY}), (Scope.RETRY, {})],
    ids=["permission", "quota", "trouble"],
)
def test_an_account_that_may_not_and_a_service_in_trouble_are_left_too(
    world: World, scope: Scope, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.fleet.TRIES", 1)
    world.refuse(Cloud.AWS, scope, "Denied", **more)
    found = world.launch()
    assert (found.cloud, found.tried[0].code) == (Cloud.GCP, "Denied")
    assert world.ours() == ["i-l2-1", "vol-i-l2-1"]


def test_what_is_wrong_with_the_request_ends_it(world: World) -> None:
    world.refuse(Cloud.AWS, Scope.REQUEST, "Malformed")
    with pytest.raises(Failure, match="Malformed"):
        world.launch()
    assert world.clouds[Cloud.GCP].calls == []
    assert world.ours() == []
    assert service.entries(world.paths) == []


def test_a_cloud_without_credentials_is_left(world: World) -> None:
    world.clouds[Cloud.AWS].unfit = MissingError("there are no AWS credentials", hint="run `aws configure`")
    found = world.launch()
    assert (found.cloud, found.tried[0].code) == (Cloud.GCP, "missing")
    assert "no AWS credentials" in found.tried[0].why


def test_a_cloud_without_an_image_is_left(world: World) -> None:
    for path in world.paths.records.glob("*/aws/*.json"):
        path.unlink()
    found = world.launch()
    assert (found.cloud, found.tried[0].code) == (Cloud.GCP, "no-image")
    assert world.clouds[Cloud.AWS].calls == []


def test_a_cloud_whose_image_is_gone_is_left(world: World) -> None:
    world.clouds[Cloud.AWS].unfit = NoImageError("ami-1 in us-east-1 is not there", hint="bake it again")
    found = world.launch()
    assert (found.cloud, found.tried[0].code) == (Cloud.GCP, "no-image")
    assert "ami-1" in found.tried[0].why


def test_a_wrong_flag_is_no_reason_to_go_on(world: World) -> None:
    world.clouds[Cloud.AWS].unfit = UsageError("--zone x is not a zone", hint="zones: y")
    with pytest.raises(UsageError, match="--zone x"):
        world.launch()
    assert world.clouds[Cloud.GCP].calls == []


def test_without_room_anywhere_the_exit_code_is_5_and_each_cloud_is_named(world: World) -> None:
    world.refuse(Cloud.AWS)
    world.clouds[Cloud.GCP].unfit = MissingError("there is no project", hint="set GOOGLE_CLOUD_PROJECT")
    world.refuse(Cloud.AZURE, Scope.ACCOUNT, exit_code=Exit.CAPACITY)
    with pytest.raises(CapacityError) as caught:
        world.launch()
    assert caught.value.exit_code is Exit.CAPACITY
    for words in ("no cloud could start it: aws: ", "; gcp: there is no project; azure: azure would not"):
        assert words in caught.value.message
    assert "gcp: set GOOGLE_CLOUD_PROJECT" in caught.value.hint
    assert world.ours() == []
    assert service.entries(world.paths) == []


@pytest.mark.parametrize(
    ("unfit", "exit_code"),
    [
        ((MissingError("no key"), MissingError("no key"), MissingError("no key")), Exit.MISSING),
        ((MissingError("no key"), Failure(Scope.RETRY, "Down", "down"), MissingError("no key")), Exit.FAILED),
    ],
    ids=["credentials", "trouble"],
)
def test_without_a_word_of_capacity_the_exit_code_says_what_it_was(world: World, unfit: tuple[GoldbakeError, ...], exit_code: Exit) -> None:
    for cloud, error in zip(IN_ORDER, unfit, strict=True):
        world.clouds[cloud].unfit = error
    with pytest.raises(GoldbakeError) as caught:
        world.launch()
    assert caught.value.exit_code is exit_code


def test_without_any_image_it_is_a_wrong_request(world: World) -> None:
    with pytest.raises(UsageError, match="no cloud could start it: aws: there is no baked image none") as caught:
        world.launch(image="none")
    assert "./inv bake --cloud azure --image none" in caught.value.hint


def test_a_pat_that_is_refused_ends_it(world: World) -> None:
    class Closed(FolderDirectory):
        def pool(self, name: str, *, create: bool) -> int:
            raise azdo_error(Kind.PAT_EXPIRED, organization="https://example.test/demo", tokens="https://example.test/t", said="")

    with pytest.raises(MissingError, match="PAT"):
        world.launch(directory=Closed(world.clouds[Cloud.AWS]))
    assert world.clouds[Cloud.GCP].calls == []


def test_an_agent_that_never_comes_online_is_not_tried_elsewhere(world: World) -> None:
    world.clouds[Cloud.AWS].online = False
    with pytest.raises(Failure, match="was not online after"):
        world.launch(timeout=0.05)
    assert world.clouds[Cloud.GCP].calls == []
    assert world.ours() == []


def test_a_machine_that_is_taken_back_before_its_agent_is_online_is_tried_elsewhere(world: World) -> None:
    world.clouds[Cloud.AWS].online = False
    world.clouds[Cloud.AWS].dies = "i-1 was taken back"
    found = world.launch()
    assert (found.cloud, found.tried[0].code) == (Cloud.GCP, "Server.InternalError")
    assert world.ours() == ["i-l2-1", "vol-i-l2-1"]


def test_what_could_not_be_removed_is_named_and_reaped_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.refuse(Cloud.AWS)
    world.clouds[Cloud.AWS].removal_s = 0.05
    monkeypatch.setattr(_Cloud, "delete", lambda self, found: None if self.cloud is Cloud.AWS else FolderCloud.delete(self, found))
    found = world.launch()
    assert (found.cloud, found.tried[0].left) == (Cloud.GCP, "l1")
    assert found.notes == ("launch l1 on aws has left something: `./inv destroy --launch l1 --yes`",)
    assert "vol-i-l1-1" in found.tried[0].why
    monkeypatch.undo()
    plan = service.plan_reap(world.paths, IN_ORDER, launchers=world.clouds)
    assert [doomed.launch_id for doomed in plan.launches] == ["l1"]


def test_one_cloud_fails_in_its_own_words(world: World) -> None:
    world.refuse(Cloud.GCP)
    with pytest.raises(CapacityError) as caught:
        world.launch(Cloud.GCP)
    assert caught.value.message.startswith("no capacity anywhere it was allowed to look")
    assert world.launch(Cloud.AWS).document()["tried"] == []


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("aws,gcp,azure", IN_ORDER),
        ("azure,aws", (Cloud.AZURE, Cloud.AWS)),
        ("aws:0.53,gcp:0.45,azure:0.5", (Cloud.GCP, Cloud.AZURE, Cloud.AWS)),
        ("aws:1,gcp:1", (Cloud.AWS, Cloud.GCP)),
        ("local", (Cloud.LOCAL,)),
    ],
)
def test_clouds_are_tried_as_written_or_the_cheapest_first(text: str, order: tuple[Cloud, ...]) -> None:
    assert flags.in_order(text) == order


@pytest.mark.parametrize("text", ["aws:1,gcp", "aws:cheap,gcp:1", "aws:1,aws:2", "aws:-1,gcp:2", "ibm", "", ","])
def test_an_order_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        flags.in_order(text)
    assert caught.value.hint


def test_what_each_cloud_has_its_own_words_for_says_for_which_it_is(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me\n")
    found = flags.machines(
        IN_ORDER, region="aws:us-east-1,aws:us-west-2,azure:eastus", instance_type="azure:Standard_NC4as_T4_v3,aws:g5.xlarge", spot=True,
        ssh_key=f"aws:mine,azure:{key}", warm_up_mib_s=200, resource_group="agents",
    )  # fmt: skip
    assert found[Cloud.AWS]["options"] == CloudOptions(
        regions=("us-east-1", "us-west-2"), types=("g5.xlarge",), market=Market.SPOT_FIRST, key="mine", warm_up_mib_s=200
    )
    assert found[Cloud.GCP]["options"] == CloudOptions(market=Market.SPOT_FIRST)
    assert found[Cloud.AZURE]["options"] == CloudOptions(
        regions=("eastus",), types=("Standard_NC4as_T4_v3",), market=Market.SPOT_FIRST, key=key.read_text().strip(), resource_group="agents"
    )


@pytest.mark.parametrize(
    ("clouds", "given", "message"),
    [
        (IN_ORDER, {"region": "us-east-1"}, "--region us-east-1 does not say for which cloud"),
        (IN_ORDER, {"zone": "aws:us-east-1a,local:b"}, "--zone local:b does not say"),
        (
            (Cloud.AZURE, Cloud.AWS),
            {"instance_type": "aws:g5.xlarge,gcp:g2-standard-4"},
            "--instance-type gcp:g2-standard-4 is for gcp, not among",
        ),
        ((Cloud.AWS, Cloud.GCP), {"resource_group": "x"}, "--resource-group means nothing with --cloud aws,gcp"),
        ((Cloud.AWS, Cloud.GCP), {"engine": "vm"}, "--engine means nothing"),
        ((Cloud.GCP,), {"resource_group": "x"}, "--resource-group means nothing with --cloud gcp"),
    ],
)
def test_a_flag_that_cannot_be_is_refused(clouds: tuple[Cloud, ...], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        flags.machines(clouds, **given)
    assert caught.value.hint


def test_an_artifact_is_of_one_cloud() -> None:
    request = LaunchRequest(organization="x", pat=Secret("y"), artifact="ami-1")
    with pytest.raises(UsageError, match="--artifact ami-1 is of one cloud"):
        anywhere.each(request, flags.machines(IN_ORDER))
    (only,) = anywhere.each(request, flags.machines((Cloud.AWS,)))
    assert only.cloud is Cloud.AWS
