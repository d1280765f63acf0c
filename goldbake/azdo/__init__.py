"""Azure DevOps: pools and agents, as a launcher needs them."""
