"""Azure: session, errors, quotas, permissions. The only other places that know its SDK are `images/azure*.py` and `launch/azure/`."""
