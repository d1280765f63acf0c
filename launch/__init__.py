"""The instance side: start machines from baked images, wait for their agents, and remove everything again."""
