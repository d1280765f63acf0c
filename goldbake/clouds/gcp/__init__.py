"""Google Cloud through its SDK."""
