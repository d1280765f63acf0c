"""The instance side of Azure."""
