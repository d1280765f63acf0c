"""A simulated Azure DevOps, written from public descriptions: agent pools and all that an agent says to the service, over TLS on loopback."""

from sim.azdo.faults import Action, Fault
from sim.azdo.service import SimulatedAzureDevOps

__all__ = ["Action", "Fault", "SimulatedAzureDevOps"]
