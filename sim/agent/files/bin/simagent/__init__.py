"""The simulated listener: Python's standard library only, because it runs in an image that has nothing else.

Modules are imported when a verb needs them, and none imports argparse, dataclasses, typing or http.client: on a machine without hardware
virtualization every import shows in the time until the agent is online.
"""
