"""What a bake or a check in a cloud works with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from goldbake.clouds import tags
from goldbake.config.model import Lock
from goldbake.images.base import CloudImages
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records


@dataclass
class Job:
    """One piece of work in one cloud; `stop` ends it early."""

    side: CloudImages
    lock: Lock
    paths: Paths
    progress: Progress
    records: Records
    stop: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], float] = time.time
    new_id: Callable[[], str] = tags.new_id
    pause: Callable[[float], None] | None = None
    """Between two looks at copies; by default it ends early when `stop` is set."""

    def say(self, text: str) -> None:
        self.progress.info(f"{self.side.cloud}: {text}")

    def warn(self, text: str) -> None:
        self.progress.warn(f"{self.side.cloud}: {text}")

    def wait(self, seconds: float) -> None:
        (self.pause or self.stop.wait)(seconds)

    def recorded(self, record: ImageRecord, **changes: object) -> ImageRecord:
        """A record with changes, kept."""
        changed = record.model_copy(update=changes)
        self.records.add(changed)
        return changed
