"""One AWS account through the SDK's own credential chain: one client per service and region, shared by all threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from goldbake.clouds.aws.errors import failure
from goldbake.errors import MissingError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sts import STSClient

_CONNECT_S = 10
_ANSWER_S = 60
_CONNECTIONS = 32
_PATIENT = Config(
    connect_timeout=_CONNECT_S,
    read_timeout=_ANSWER_S,
    max_pool_connections=_CONNECTIONS,
    retries={"mode": "standard", "total_max_attempts": 8},
    user_agent_extra="goldbake",
)
_ONCE = _PATIENT.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
"""botocore takes a shortage of instances, which EC2 reports as 5xx, for a fault of the service and asks again in the same zone."""

NO_CREDENTIALS = "run `aws configure` or `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def is_configured() -> bool:
    """Whether the SDK finds credentials of AWS here; asks no service but, where there is one, this machine's own metadata service."""
    try:
        return boto3.Session().get_credentials() is not None
    except BotoCoreError:
        return False


class Aws:
    """The account of the default credential chain (`AWS_*`, profiles, SSO, instance roles); `AWS_ENDPOINT_URL` leads elsewhere."""

    def __init__(self) -> None:
        self._session = boto3.Session()
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._mutex = threading.Lock()
        try:
            found = self._session.get_credentials()
        except BotoCoreError as error:
            raise MissingError(f"AWS credentials cannot be read: {error}", hint=NO_CREDENTIALS) from error
        if found is None:
            raise MissingError("there are no AWS credentials", hint=NO_CREDENTIALS)

    @property
    def region(self) -> str:
        """The region of AWS_REGION or the profile; empty when neither says one."""
        return self._session.region_name or ""

    def ec2(self, region: str, *, once: bool = False) -> EC2Client:
        """EC2 of a region; `once` for calls whose failure is to be seen as it is, without the SDK asking again."""
        return cast("EC2Client", self._client("ec2", region, once))

    def quotas(self, region: str) -> ServiceQuotasClient:
        """Service Quotas of a region."""
        return cast("ServiceQuotasClient", self._client("service-quotas", region, False))

    def sts(self, region: str, *, once: bool = False) -> STSClient:
        """Who this is."""
        return cast("STSClient", self._client("sts", region, once))

    def knows(self, region: str) -> bool:
        """Whether the SDK has heard of the region; it may be newer than the SDK. Asks nobody."""
        found: list[str] = [
            name for part in self._session.get_available_partitions() for name in self._session.get_available_regions("ec2", part)
        ]
        return region in found

    def regions(self, ask: str, *, once: bool = False) -> tuple[str, ...]:
        """The regions that are enabled for this account, asked in region `ask`. Raises Failure."""
        try:
            answer = self.ec2(ask, once=once).describe_regions(
                Filters=[{"Name": "opt-in-status", "Values": ["opt-in-not-required", "opted-in"]}],
            )
        except (BotoCoreError, ClientError) as error:
            raise failure(error, doing="list the regions", region=ask) from error
        return tuple(sorted(region["RegionName"] for region in answer["Regions"]))

    def _client(self, service: str, region: str, once: bool) -> Any:
        with self._mutex:  # making a client is not safe for threads, using one is
            key = (service, region, once)
            if key not in self._clients:
                make: Any = self._session.client
                self._clients[key] = make(service, region_name=region, config=_ONCE if once else _PATIENT)
            return self._clients[key]
