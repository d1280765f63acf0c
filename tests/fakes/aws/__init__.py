"""A fake of AWS: moto's EC2 and STS, Service Quotas, and what bake, launch and doctor need of EC2 that moto lacks. Imports nothing of ours.

`with FakeAws() as fake:` serves on a free port of loopback; `fake.environment()` leads any SDK there. Alone: `python -m tests.fakes.aws`.
"""

from tests.fakes.aws.book import ACCOUNT, Doom, Event
from tests.fakes.aws.calls import START, Call, Fault
from tests.fakes.aws.seeds import CANONICAL, DEBIAN, NEWEST_DEBIAN, NEWEST_NOBLE, SEEDS, Seed
from tests.fakes.aws.service import ACCESS_KEY, REGION, REGIONS, SECRET_KEY, FakeAws
from tests.fakes.held import Held

__all__ = [
    "ACCESS_KEY", "ACCOUNT", "CANONICAL", "DEBIAN", "NEWEST_DEBIAN", "NEWEST_NOBLE", "REGION", "REGIONS", "SECRET_KEY", "SEEDS", "START",
    "Call", "Doom", "Event", "FakeAws", "Fault", "Held", "Seed",
]  # fmt: skip
