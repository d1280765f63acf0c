"""The task table: flags → one call → print. `./inv --list` shows it, `./inv --help TASK` explains one."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict

from invoke.collection import Collection
from invoke.context import Context

from goldbake import report
from goldbake.cli import WordsTask, clouds_from, command, confirmed, emit, emit_each, raise_worst, task, words_from
from goldbake.log import Progress
from goldbake.paths import Paths

CLOUD = "aws, gcp, azure or local"
IMAGE = "an image of images.yaml; without it the cloud's default"
AGENT = "auto, microsoft or simulated (the last only for local)"
JSON = "the result as one JSON document"


@task(
    help={
        "cloud": CLOUD + ", several with commas: they are baked side by side",
        "image": IMAGE,
        "agent": AGENT,
        "force": "bake although the image exists",
        "dry-run": "say what would be baked and why, start nothing",
        "no-check": "leave out the checks; the record says so",
        "json": JSON + ", of several clouds a list",
    }
)
@command
def bake(
    c: Context,
    cloud: str = "local",
    image: str = "",
    agent: str = "auto",
    force: bool = False,
    dry_run: bool = False,
    no_check: bool = False,
    json: bool = False,
) -> None:
    """Bake the image that images.yaml describes, check it on a boot, and record it; unchanged inputs: the existing image at once."""
    from goldbake import bake as pipeline  # noqa: PLC0415 (start-up stays below a second)

    paths, progress = Paths.from_environment(), Progress()
    targets = clouds_from(cloud)
    if dry_run:
        found = [pipeline.preview(paths, progress, target, image=image or None, agent_wanted=agent) for target in targets]
        emit_each([(report.preview(one), one.document()) for one in found], as_json=json)
        return
    results = pipeline.bake_all(paths, progress, targets, image=image or None, agent_wanted=agent, force=force, check=not no_check)
    done = [one for one in results if isinstance(one, pipeline.Outcome)]
    shown = [(report.record(one.record, reused=one.reused), one.record.document(reused=one.reused)) for one in done]
    emit_each(shown, as_json=json, single=len(targets) == 1)
    raise_worst([one.error for one in results if isinstance(one, pipeline.Failed)])


@task(
    help={
        "cloud": CLOUD + "; without it all",
        "format": "table, json, tfvars (for Terraform) or env (for scripts)",
        "unchecked": "tfvars and env name images that were baked without checks as well",
        "json": "the same as --format json",
    }
)
@command
def images(c: Context, cloud: str = "", format: str = "table", unchecked: bool = False, json: bool = False) -> None:
    """List what is baked, where, from what and how old; an artifact that is gone or changed is not listed."""
    from goldbake import catalogue  # noqa: PLC0415

    found = catalogue.images(Paths.from_environment(), Progress(), clouds_from(cloud), strict=format in catalogue.FOR_PROGRAMS)
    text = catalogue.text(found, "json" if json else format, unchecked=unchecked)
    emit(text, [record.document(reused=True) for record in found], as_json=json or format == "json")


@task(help={"image": IMAGE, "cloud": CLOUD, "host": "check this host instead: ssh://root@HOST[:PORT]", "json": JSON})
@command
def check(c: Context, image: str = "", cloud: str = "local", host: str = "", json: bool = False) -> None:
    """Run the checks on a boot of a baked image, or on any host that can be reached by SSH."""
    from goldbake import verify  # noqa: PLC0415

    paths, progress = Paths.from_environment(), Progress()
    (target,) = clouds_from(cloud, most=1)
    result = verify.host(host, progress) if host else verify.image(paths, progress, target, image or None)
    emit(report.checks(result), result.document(), as_json=json)
    verify.require_green(result)


@task(help={"image": "one image; without it all", "cloud": CLOUD + ", several with commas; without it all", "json": JSON})
@command
def render(c: Context, image: str = "", cloud: str = "", json: bool = False) -> None:
    """Write the Packer templates of every image and cloud to packer/build."""
    from goldbake import templates  # noqa: PLC0415

    folders = templates.render_all(Paths.from_environment(), Progress(), clouds_from(cloud), image or None)
    emit("\n".join(map(str, folders)), [str(folder) for folder in folders], as_json=json)


@task(help={"image": "one image; without it all", "cloud": CLOUD + ", several with commas; without it all", "json": JSON})
@command
def validate(c: Context, image: str = "", cloud: str = "", json: bool = False) -> None:
    """Render, then let the real Packer check format and meaning of each template; says what was skipped and why."""
    from goldbake import templates  # noqa: PLC0415

    results = templates.validate_all(Paths.from_environment(), Progress(), clouds_from(cloud), image or None)
    emit(report.validation(results), [result.document() for result in results], as_json=json)


@task(
    klass=WordsTask,
    positional=["names"],
    iterable=["names"],
    help={"names": "NAME or NAME=VERSION, as agent-4.275.0; without it all unresolved", "json": JSON},
)
@command
def pin(c: Context, names: list[str], json: bool = False) -> None:
    """Ask the official sources for versions and hashes, verify them, and write images.lock.yaml."""
    from goldbake import pin as pins  # noqa: PLC0415

    changes = pins.pin_all(names, Paths.from_environment(), Progress())
    emit(report.changes(changes), changes, as_json=json)


ORGANIZATION = "the organization: its name, or its URL for a server of your own; without it AZP_URL"
POOL = "the agent pool; without it AZP_POOL, else Default"
CA = "a file of certificates to trust besides the system's"


@task(
    iterable=["label"],
    help={
        "cloud": "where: "
        + CLOUD
        + "; several with commas: the first that has room, best first; with prices, as aws:0.53,gcp:0.45, the cheapest first",
        "image": "an image of images.yaml; without it the newest baked one",
        "artifact": "exactly this AMI, image or file",
        "organization": ORGANIZATION,
        "pool": POOL,
        "create-pool": "make the pool when there is none of this name",
        "count": "how many instances",
        "prefix": "the agents are called PREFIX-INSTANCE, or as the instance if its name begins so",
        "label": "NAME=VALUE, a capability of the agents; may be given several times",
        "ttl": "how long they live at most: 4h, 90m, 1d12h",
        "timeout": "how long to wait for an agent",
        "no-wait": "return when they run, without waiting for the agents",
        "ephemeral": "one job for each agent, then its machine ends",
        "work": "the agent's work folder",
        "proxy": "the proxy through which the instances reach the service",
        "ca": CA + ", here and on the instances",
        "unchecked": "take an image that was baked with --no-check",
        "engine": "local only: vm or container (vm)",
        "gpu": "local only: the NVIDIA GPUs of this machine: all of them to one VM, or shared by containers",
        "cpus": "local VMs only: processors of each (2)",
        "memory": "local VMs only: MiB of memory of each (2048)",
        "ssh-key": "a file with a public key that may log in; AWS: the name of a key pair",
        "region": "clouds only: where to try, best first: A,B; without it where the image is; with several clouds aws:A,gcp:B, as all that each"
        " has its own words for",
        "zone": "clouds only: the only zones to try, best first: A,B",
        "instance-type": "clouds only: types that will do, best first: A,B; Google Cloud: N1 with GPUs as n1-standard-8+2xnvidia-tesla-t4;"
        " without it the cheapest with a GPU of the image",
        "spot": "clouds only: spare capacity where there is some, else on demand",
        "spot-only": "clouds only: spare capacity, or none",
        "subnet": "clouds only: the subnet of the instances; without it the default network's, on Azure one of the launch's own",
        "public-ip": "clouds only: give the instances public addresses",
        "ssh-from": "clouds only: who may open SSH, as 203.0.113.7/32; without it nobody",
        "identity": "clouds only: the instance profile, service account or managed identity of the instances; without it none",
        "disk": "clouds only: GiB of the root disk; without it the image's size",
        "resource-group": "Azure only: make the instances in this group; without it each launch makes a group of its own",
        "warm-up": "AWS only: MiB/s at which the root disk is read ahead from its snapshot, 100 to 300, at a price",
        "json": JSON,
    },
)
@command
def launch(
    c: Context,
    label: list[str],
    cloud: str = "local",
    image: str = "",
    artifact: str = "",
    organization: str = "",
    pool: str = "",
    create_pool: bool = False,
    count: int = 1,
    prefix: str = "goldbake",
    ttl: str = "4h",
    timeout: str = "15m",
    no_wait: bool = False,
    ephemeral: bool = False,
    work: str = "",
    proxy: str = "",
    ca: str = "",
    unchecked: bool = False,
    engine: str = "",
    gpu: bool = False,
    cpus: int = 0,
    memory: int = 0,
    ssh_key: str = "",
    region: str = "",
    zone: str = "",
    instance_type: str = "",
    spot: bool = False,
    spot_only: bool = False,
    subnet: str = "",
    public_ip: bool = False,
    ssh_from: str = "",
    identity: str = "",
    disk: int = 0,
    warm_up: int = 0,
    resource_group: str = "",
    json: bool = False,
) -> None:
    """Start instances from a baked image and wait until each agent is online; the PAT comes from AZP_TOKEN, AZP_TOKEN_FILE or a prompt."""
    from launch import anywhere, flags  # noqa: PLC0415

    progress, targets = Progress(), flags.in_order(cloud)
    machines = flags.machines(
        targets,
        engine=engine,
        gpu=gpu,
        cpus=cpus,
        memory_mib=memory,
        ssh_key=ssh_key,
        region=region,
        zone=zone,
        instance_type=instance_type,
        spot=spot,
        spot_only=spot_only,
        subnet=subnet,
        public_ip=public_ip,
        ssh_from=ssh_from,
        identity=identity,
        disk_gib=disk,
        warm_up_mib_s=warm_up,
        resource_group=resource_group,
    )
    request = anywhere.LaunchRequest(
        **flags.service(organization, pool, progress),
        image=image or None,
        artifact=artifact or None,
        count=count,
        prefix=prefix,
        labels=flags.labels(label),
        work=work,
        proxy=proxy,
        ca=flags.file(ca, "--ca"),
        ephemeral=ephemeral,
        ttl=flags.duration(ttl),
        wait=not no_wait,
        timeout=flags.duration(timeout, "--timeout"),
        create_pool=create_pool,
        unchecked=unchecked,
    )
    found = anywhere.launch(Paths.from_environment(), progress, anywhere.each(request, machines))
    emit(report.launched(found), found.document(), as_json=json)


LOOKED = CLOUD + "; without it this machine, and each cloud that was launched on from here or has credentials"


@task(help={"cloud": LOOKED, "json": JSON})
@command
def instances(c: Context, cloud: str = "", json: bool = False) -> None:
    """List the instances that were launched, with their ages and ends."""
    from launch import flags, service  # noqa: PLC0415

    found, refused = service.listed(Paths.from_environment(), flags.clouds(cloud), progress=Progress())
    emit(report.instances(found, whole=not refused), [asdict(one) for one in found], as_json=json)
    raise_worst(refused)


@task(
    help={
        "launch": "one launch (see ./inv instances)",
        "all": "every launch",
        "cloud": LOOKED,
        "yes": "do not ask",
        "ca": CA,
        "json": JSON,
    },
)
@command
def destroy(c: Context, launch: str = "", all: bool = False, cloud: str = "", yes: bool = False, ca: str = "", json: bool = False) -> None:
    """Remove a launch with its agents, and prove by listing again that nothing is left; shows the plan until it is confirmed."""
    from launch import flags, service  # noqa: PLC0415

    paths, progress = Paths.from_environment(), Progress()
    plan = service.plan_destroy(paths, flags.clouds(cloud), launch or None, everything=all)
    if confirmed(plan, report.removal_plan(plan), plan.document(), yes=yes, as_json=json):
        found = service.destroy(paths, progress, plan, flags.pat_if_any(progress), ca=flags.file(ca, "--ca"))
        emit(report.removed(found), found.document(), as_json=json)
        found.require_nothing_left()
    raise_worst(plan.refused)


@task(help={"cloud": LOOKED, "yes": "do not ask", "ca": CA, "json": JSON})
@command
def reap(c: Context, cloud: str = "", yes: bool = False, ca: str = "", json: bool = False) -> None:
    """Remove whatever is past its time, and what killed launches left; shows the plan until it is confirmed."""
    from launch import flags, service  # noqa: PLC0415

    paths, progress = Paths.from_environment(), Progress()
    plan = service.plan_reap(paths, flags.clouds(cloud))
    if confirmed(plan, report.removal_plan(plan), plan.document(), yes=yes, as_json=json):
        found = service.reap(paths, progress, plan, flags.pat_if_any(progress), ca=flags.file(ca, "--ca"))
        emit(report.removed(found), found.document(), as_json=json)
        found.require_nothing_left()
    raise_worst(plan.refused)


@task(help={"engine": "vm or container", "json": JSON})
@command
def demo(c: Context, engine: str = "vm", json: bool = False) -> None:
    """Show the whole way on this machine without any account: bake, launch, agent online, one job, destroy, nothing left."""
    from goldbake import demo as whole_way  # noqa: PLC0415
    from launch import flags  # noqa: PLC0415

    found = whole_way.run(Paths.from_environment(), Progress(), flags.local(engine))
    emit(report.demonstration(found), found.document(), as_json=json)


@task(
    help={
        "cloud": CLOUD + ", several with commas: what is to be examined; without it this machine",
        "region": "clouds only: where launches are wanted: A,B; without it where images.yaml bakes and copies to",
        "instance-type": "clouds only: types that must be possible there: A,B; without it one with a GPU of images.yaml",
        "organization": ORGANIZATION,
        "pool": POOL,
        "json": JSON,
    },
)
@command
def doctor(
    c: Context, cloud: str = "local", region: str = "", instance_type: str = "", organization: str = "", pool: str = "", json: bool = False
) -> None:
    """Say what this machine or a cloud account lacks for a bake and a launch, each with the exact fix."""
    from goldbake import host  # noqa: PLC0415

    rows = host.examine(
        Paths.from_environment(),
        clouds_from(cloud),
        regions=words_from(region),
        types=words_from(instance_type),
        organization=organization,
        pool=pool,
    )
    emit(report.doctor(rows), [row.document() for row in rows], as_json=json)
    host.require_fit(rows)


@task(help={"fast": "only what needs no container, VM or Packer", "k": "pytest's -k expression"})
def test(c: Context, fast: bool = False, k: str = "") -> None:
    """Run the tests: quick unit tests, slow ones, then those that bake, boot and break real images; all of them measure coverage."""
    from tests import runs  # noqa: PLC0415

    for arguments in runs.plan(fast=fast, expression=k):
        c.run(shlex.join([sys.executable, "-m", "pytest", *arguments]), pty=sys.stdout.isatty())


@task
def lint(c: Context) -> None:
    """Run the linters and the type checker."""
    for tool in ("ruff check .", "ruff format --check .", "mypy"):
        c.run(f"{shlex.quote(sys.executable)} -m {tool}", pty=sys.stdout.isatty())


@task(help={"json": JSON})
@command
def bench_bake(c: Context, json: bool = False) -> None:
    """Measure in one run: a cold bake against a bare script, a bake with nothing to do, and one after an agent bump."""
    from goldbake.bench import bake as bench  # noqa: PLC0415

    figures = bench.measure(Paths.from_environment(), Progress())
    emit(report.figures(figures), figures, as_json=json)


@task(help={"json": JSON, "rounds": "measurements of each; the medians are compared"})
@command
def bench_boot(c: Context, rounds: int = 3, json: bool = False) -> None:
    """Measure in one run: golden image to agent online, against provisioning at first boot and against a stock image's SSH server."""
    from goldbake.bench import boot as bench  # noqa: PLC0415

    figures = bench.measure(Paths.from_environment(), Progress(), rounds)
    emit(report.boot_figures(figures), figures, as_json=json)


@task(help={"json": JSON, "count": "how many instances", "rounds": "measurements of each; the medians are compared"})
@command
def bench_aws(c: Context, count: int = 200, rounds: int = 3, json: bool = False) -> None:
    """Measure against a fake of AWS: a launch of many instances against the same calls by hand, and a reap over every region."""
    from goldbake.bench import aws as bench  # noqa: PLC0415

    figures = bench.measure(Paths.from_environment(), Progress(), count, rounds)
    emit(report.figures(figures), figures, as_json=json)


@task(help={"json": JSON, "count": "how many instances", "rounds": "measurements of each; the medians are compared"})
@command
def bench_gcp(c: Context, count: int = 200, rounds: int = 3, json: bool = False) -> None:
    """Measure against a fake of Google Cloud: a launch of many instances against the same calls by hand, and a reap of a whole project."""
    from goldbake.bench import gcp as bench  # noqa: PLC0415

    figures = bench.measure(Paths.from_environment(), Progress(), count, rounds)
    emit(report.figures(figures), figures, as_json=json)


@task(help={"json": JSON, "count": "how many instances", "rounds": "measurements of each; the medians are compared"})
@command
def bench_azure(c: Context, count: int = 200, rounds: int = 3, json: bool = False) -> None:
    """Measure against a fake of Azure: a launch of many instances against the same calls by hand, and a reap over every region."""
    from goldbake.bench import azure as bench  # noqa: PLC0415

    figures = bench.measure(Paths.from_environment(), Progress(), count, rounds)
    emit(report.figures(figures), figures, as_json=json)


namespace = Collection(bake, images, check, launch, instances, destroy, reap, demo, doctor, render, validate, pin, test, lint)
_bench = Collection("bench")
_bench.add_task(bench_bake, name="bake")
_bench.add_task(bench_boot, name="boot")
_bench.add_task(bench_aws, name="aws")
_bench.add_task(bench_gcp, name="gcp")
_bench.add_task(bench_azure, name="azure")
namespace.add_collection(_bench)
