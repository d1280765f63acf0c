"""AWS: session, errors, quotas, permissions. The only other places that know boto3 are `images/aws.py` and `launch/aws.py`."""
