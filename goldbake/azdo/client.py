"""Being written."""

import httpx  # noqa: F401
