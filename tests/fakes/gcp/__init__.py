"""A fake of Google Cloud: Compute Engine, and what doctor asks of Resource Manager, Service Usage, Billing and IAM. Imports nothing of ours.

Every request and every answer is checked against Google's own description (see `contract`). `with FakeGcp() as fake:` serves on a free port of
loopback; `fake.environment()` leads any SDK there. Alone: `python -m tests.fakes.gcp`.
"""

from tests.fakes.gcp.access import TOKEN
from tests.fakes.gcp.book import Book, Event
from tests.fakes.gcp.calls import START, Call, Fault
from tests.fakes.gcp.seeds import NEWEST_DEBIAN, NEWEST_NOBLE, NUMBER, PROJECT, REGION, REGIONS, SEEDS, ZONE, Seed
from tests.fakes.gcp.service import FakeGcp
from tests.fakes.held import Held

__all__ = [
    "NEWEST_DEBIAN", "NEWEST_NOBLE", "NUMBER", "PROJECT", "REGION", "REGIONS", "SEEDS", "START", "TOKEN", "ZONE",
    "Book", "Call", "Event", "FakeGcp", "Fault", "Held", "Seed",
]  # fmt: skip
