"""What codes of EC2 and errors of the SDK mean."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    LoginRefreshRequired,
    NoCredentialsError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from goldbake.clouds.aws.errors import ERRORS, QUOTA_CODES, ROWS, failure, refused
from goldbake.clouds.aws.session import Aws
from goldbake.clouds.failure import Failure, Scope
from goldbake.errors import Exit
from tests.fakes.aws import FakeAws


def _of(code: str, said: str = "", status: int = 400) -> Failure:
    return refused(code, said, doing="start a g5.xlarge", region="eu-west-1", status=status, operation="RunInstances")


@pytest.mark.parametrize(
    ("code", "scope", "exit_code"),
    [
        ("InsufficientInstanceCapacity", Scope.ZONE, Exit.CAPACITY),
        ("UnfulfillableCapacity", Scope.ZONE, Exit.CAPACITY),
        ("InsufficientFreeAddressesInSubnet", Scope.ZONE, Exit.CAPACITY),
        ("Unsupported", Scope.ZONE, Exit.CAPACITY),
        ("ReservationCapacityExceeded", Scope.ZONE, Exit.CAPACITY),
        ("VcpuLimitExceeded", Scope.REGION, Exit.CAPACITY),
        ("InstanceLimitExceeded", Scope.REGION, Exit.CAPACITY),
        ("MaxSpotInstanceCountExceeded", Scope.REGION, Exit.CAPACITY),
        ("MaxFleetCountExceeded", Scope.REGION, Exit.CAPACITY),
        ("AddressLimitExceeded", Scope.REGION, Exit.CAPACITY),
        ("PendingVerification", Scope.REGION, Exit.CAPACITY),
        ("RequestLimitExceeded", Scope.RETRY, Exit.FAILED),
        ("InternalError", Scope.RETRY, Exit.FAILED),
        ("ServiceUnavailable", Scope.RETRY, Exit.FAILED),
        ("Unavailable", Scope.RETRY, Exit.FAILED),
        ("ServerInternal", Scope.RETRY, Exit.FAILED),
        ("InvalidInstanceID.NotFound", Scope.RETRY, Exit.FAILED),
        ("InvalidGroup.NotFound", Scope.RETRY, Exit.FAILED),
        ("DependencyViolation", Scope.RETRY, Exit.FAILED),
        ("UnauthorizedOperation", Scope.ACCOUNT, Exit.MISSING),
        ("AuthFailure", Scope.ACCOUNT, Exit.MISSING),
        ("OptInRequired", Scope.ACCOUNT, Exit.MISSING),
        ("ExpiredToken", Scope.ACCOUNT, Exit.MISSING),
        ("InvalidClientTokenId", Scope.ACCOUNT, Exit.MISSING),
        ("InvalidParameterValue", Scope.REQUEST, Exit.USAGE),
        ("InvalidAMIID.NotFound", Scope.REQUEST, Exit.USAGE),
        ("InvalidUserData.Malformed", Scope.REQUEST, Exit.USAGE),
        ("IdempotentParameterMismatch", Scope.REQUEST, Exit.FAILED),
        ("Server.InsufficientInstanceCapacity", Scope.ZONE, Exit.CAPACITY),
        ("Server.InternalError", Scope.ZONE, Exit.CAPACITY),
        ("Server.SpotInstanceTermination", Scope.ZONE, Exit.CAPACITY),
        ("Client.VolumeLimitExceeded", Scope.REGION, Exit.CAPACITY),
        ("Client.InternalError", Scope.ACCOUNT, Exit.MISSING),
        ("Client.InstanceInitiatedShutdown", Scope.REQUEST, Exit.FAILED),
    ],
)
def test_how_far_a_code_reaches(code: str, scope: Scope, exit_code: Exit) -> None:
    found = _of(code, "AWS's own words.")
    assert (found.code, found.scope, found.exit_code) == (code, scope, exit_code)
    assert found.message.startswith("AWS would not start a g5.xlarge in eu-west-1: ")
    assert found.message.endswith(f"({code}: AWS's own words)")
    assert found.hint


@pytest.mark.parametrize("code", sorted(QUOTA_CODES))
def test_every_quota_ends_with_the_exit_code_for_capacity(code: str) -> None:
    assert (_of(code).exit_code, _of(code).scope) == (Exit.CAPACITY, Scope.REGION)


def test_pending_verification_says_what_it_is_and_how_long_it_takes() -> None:
    found = _of("PendingVerification", "Your request for accessing resources in this region is being validated.")
    assert "4 hours" in found.message
    assert "aws-verification@amazon.com" in found.hint


def test_a_refused_action_is_named_and_the_encoded_part_is_left_out() -> None:
    said = (
        "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to perform: ec2:CreateFleet on"
        " resource: arn:aws:ec2:eu-west-1:1:fleet/*. Encoded authorization failure message: c2VjcmV0\nMORE"
    )
    found = _of("UnauthorizedOperation", said)
    assert "no permission for ec2:CreateFleet" in found.message
    assert "Encoded" not in found.message
    assert "c2VjcmV0" not in found.message
    assert "docs/reference/aws-policy.json" in found.hint
    assert "no permission for RunInstances" in _of("UnauthorizedOperation").message


@pytest.mark.parametrize(
    ("code", "said", "scope", "part"),
    [
        ("AuthFailure", "Not authorized for images: [ami-1]", Scope.ACCOUNT, "not shared"),
        (
            "InvalidFleetConfiguration",
            "Your requested instance type (p5.4xlarge) is not supported in your requested Availability Zone (a).",
            Scope.ZONE,
            "zone",
        ),
        ("InvalidFleetConfiguration", "The fleet configuration contains duplicate instance pools", Scope.REQUEST, "not accepted"),
        ("Unsupported", "The instance type does not support an AMI with boot mode uefi", Scope.REQUEST, "boot mode"),
        ("UnauthorizedOperation", "… with an explicit deny in a service control policy", Scope.ACCOUNT, "forbids"),
        (
            "OperationNotPermitted",
            "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination'",
            Scope.REQUEST,
            "protected",
        ),
        ("SignatureDoesNotMatch", "Signature expired: 20261124T000000Z is now earlier than", Scope.ACCOUNT, "slow"),
        ("SignatureDoesNotMatch", "Signature not yet current", Scope.ACCOUNT, "fast"),
    ],
)
def test_words_decide_only_where_one_code_means_several_things(code: str, said: str, scope: Scope, part: str) -> None:
    found = _of(code, said)
    assert found.scope is scope
    assert part in found.message.partition(f"({code}")[0]


def test_words_of_one_code_mean_nothing_to_another() -> None:
    assert _of("InvalidParameterValue", "VcpuLimitExceeded is not supported in your requested Availability Zone").scope is Scope.REQUEST


@pytest.mark.parametrize(
    ("error", "scope", "exit_code", "hint"),
    [
        (EndpointConnectionError(endpoint_url="https://ec2.eu-west-9.amazonaws.com/"), Scope.RETRY, Exit.FAILED, "region's name"),
        (ConnectTimeoutError(endpoint_url="https://x"), Scope.RETRY, Exit.FAILED, "HTTPS_PROXY"),
        (NoCredentialsError(), Scope.ACCOUNT, Exit.MISSING, "aws configure"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), Scope.ACCOUNT, Exit.MISSING, "aws sso login"),
        (UnauthorizedSSOTokenError(), Scope.ACCOUNT, Exit.MISSING, "aws sso login"),
        (SSOTokenLoadError(error_msg="none"), Scope.ACCOUNT, Exit.MISSING, "aws sso login"),
        (LoginRefreshRequired(), Scope.ACCOUNT, Exit.MISSING, "aws login"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BotoCoreError) else "",
)
def test_errors_of_the_sdk_itself(error: BotoCoreError, scope: Scope, exit_code: Exit, hint: str) -> None:
    found = failure(error, doing="list instances", region="eu-west-9")
    assert (found.code, found.scope, found.exit_code) == (type(error).__name__, scope, exit_code)
    assert found.message.startswith("could not list instances in eu-west-9: ")
    assert hint in found.hint


def test_an_error_of_the_sdk_that_has_no_row_is_read_as_its_nearest_kin() -> None:
    class Newer(EndpointConnectionError):
        pass

    assert failure(Newer(endpoint_url="x"), doing="x", region="y").scope is Scope.RETRY
    assert failure(BotoCoreError(), doing="x", region="y").scope is Scope.REQUEST


def test_what_the_fake_service_answers_is_read_by_its_code(fake_aws: FakeAws, aws: Aws) -> None:
    fake_aws.refuse(
        "VcpuLimitExceeded", "RunInstances", message="You have requested more vCPU capacity than your current vCPU limit of 0 allows"
    )
    with pytest.raises(ClientError) as error:
        aws.ec2("us-east-1", once=True).run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)
    found = failure(error.value, doing="start a g5.xlarge", region="us-east-1")
    assert (found.code, found.scope) == ("VcpuLimitExceeded", Scope.REGION)
    assert "limit of 0" in found.message


def test_rows_are_found_by_their_exact_code() -> None:
    assert ERRORS["VcpuLimitExceeded"] in ROWS
    assert "Client.VcpuLimitExceeded" not in ERRORS
