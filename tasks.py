"""The task table: flags → one call → print. `./inv --list` shows it, `./inv --help TASK` explains one."""

from __future__ import annotations

import shlex
import sys

from invoke import Collection, Context, task

from goldbake import report
from goldbake.cli import WordsTask, clouds_from, command, emit
from goldbake.log import Progress
from goldbake.paths import Paths

CLOUD = "aws, gcp, azure or local"
IMAGE = "an image of images.yaml; without it the cloud's default"
AGENT = "auto, microsoft or simulated (the last only for local)"
JSON = "the result as one JSON document"


@task(
    help={
        "cloud": CLOUD,
        "image": IMAGE,
        "agent": AGENT,
        "force": "bake although the image exists",
        "dry-run": "say what would be baked and why, start nothing",
        "no-check": "leave out the checks; the record says so",
        "json": JSON,
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
    (target,) = clouds_from(cloud, most=1)
    if dry_run:
        layers = pipeline.preview(paths, progress, target, image=image or None, agent_wanted=agent)
        emit(report.preview(layers), layers.document(), as_json=json)
        return
    outcome = pipeline.bake(paths, progress, target, image=image or None, agent_wanted=agent, force=force, check=not no_check)
    emit(report.record(outcome.record, reused=outcome.reused), outcome.record.document(reused=outcome.reused), as_json=json)


@task(help={"cloud": CLOUD + "; without it all", "json": JSON})
@command
def images(c: Context, cloud: str = "", json: bool = False) -> None:
    """List what is baked, where, from what and how old; an artifact that is gone or changed is not listed."""
    from goldbake.records import Records  # noqa: PLC0415

    store = Records(Paths.from_environment().records)
    wanted = clouds_from(cloud)
    found = [record for record in store.all() if record.cloud in wanted and store.usable(record)]
    emit(report.images(found), [record.document(reused=True) for record in found], as_json=json)


@task(help={"image": IMAGE, "cloud": "local", "host": "check this host instead: ssh://root@HOST[:PORT]", "json": JSON})
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


@task(help={"json": JSON})
@command
def doctor(c: Context, json: bool = False) -> None:
    """Say what this machine lacks for a bake, each with the exact fix."""
    from goldbake import host  # noqa: PLC0415

    rows = host.examine(Paths.from_environment())
    emit(report.doctor(rows), [row.document() for row in rows], as_json=json)
    host.require_fit(rows)


@task(help={"fast": "only what needs no container, VM or Packer", "k": "pytest's -k expression"})
def test(c: Context, fast: bool = False, k: str = "") -> None:
    """Run the tests: unit and shell first, then those that bake, boot and break real images; all of them also measure coverage."""
    options = ["-m", "not slow"] if fast else []
    options += ["-k", k] if k else []
    options += [] if fast or k else ["--cov", "--cov-report=term"]
    c.run(shlex.join([sys.executable, "-m", "pytest", *options]), pty=sys.stdout.isatty())


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


namespace = Collection(bake, images, check, render, validate, pin, doctor, test, lint)
_bench = Collection("bench")
_bench.add_task(bench_bake, name="bake")
namespace.add_collection(_bench)
