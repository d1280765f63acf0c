"""The first-boot program: turns a machine that was started from a golden image into an Azure Pipelines agent.

Python's standard library only, as old as 3.10 (Ubuntu 22.04), because nothing else is in every image. An import costs an emulated machine
ten times what it costs here, so pathlib, typing, dataclasses and http.client stay out, and each module is imported where it is needed.
"""

TYPE_CHECKING = False
"""True for mypy only; `typing.TYPE_CHECKING` would cost the import of typing."""
