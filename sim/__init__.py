"""Stand-ins for Microsoft's side, written from the public descriptions; nothing here imports goldbake."""
