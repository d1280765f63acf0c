"""The first-boot program: turns a machine that was started from a golden image into an Azure Pipelines agent.

Python's standard library only, as old as 3.10 (Ubuntu 22.04), because nothing else is in every image.
"""
