"""The instance side of Compute Engine."""
