"""The instance side of EC2."""
