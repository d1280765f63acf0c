"""goldbake: golden GPU build-agent images, and the agents that start from them."""

__version__ = "0.1.0"
