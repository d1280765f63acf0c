"""Stand-ins for the clouds, which bind loopback only and import nothing of ours."""
