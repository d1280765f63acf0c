"""What becomes of an image whose checks are red: it is not offered, and its report is kept."""

from __future__ import annotations

import json

from goldbake.check import CheckReport
from goldbake.config.model import Cloud
from goldbake.errors import ChecksFailed
from goldbake.paths import Paths
from goldbake.plan import BakePlan


def error(report: CheckReport, todo: BakePlan, paths: Paths) -> ChecksFailed:
    """Keep the report, and say what is red."""
    name = todo.name if todo.cloud is Cloud.LOCAL else f"{todo.name}-{todo.cloud}"
    path = paths.state / "failed-checks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.document(), indent=2) + "\n")
    lines = "\n".join(f"    {failed.name}: {failed.message}" for failed in report.failed)
    return ChecksFailed(
        f"{len(report.failed)} of {len(report.failed) + len(report.passed)} checks of {todo.name} failed; the image is not offered:\n{lines}",
        hint=f"the whole report: {path}; correct the script and run the same command again",
    )
