"""A fake of Azure: sign-in and Resource Manager behind a proxy that ends TLS, so that every SDK and Packer use their own endpoints.

`with FakeAzure() as fake:` serves on a free port of loopback; `fake.environment()` leads any SDK there. Alone: `python -m tests.fakes.azure`.
It imports nothing of ours.
"""

from tests.fakes.azure.book import CLIENT, LOCATION, SUBSCRIPTION, TENANT, Event, Resource
from tests.fakes.azure.calls import START, Call, Fault
from tests.fakes.azure.login import SECRET
from tests.fakes.azure.service import FakeAzure
from tests.fakes.azure.state import Held

__all__ = ["CLIENT", "LOCATION", "SECRET", "START", "SUBSCRIPTION", "TENANT", "Call", "Event", "FakeAzure", "Fault", "Held", "Resource"]
