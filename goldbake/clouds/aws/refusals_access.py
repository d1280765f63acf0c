"""The codes of AWS and the errors of its SDK about credentials and permissions; see `refusals`."""

from __future__ import annotations

from goldbake.clouds.aws.refusals import BOTOCORE, CLOCK, CODES_PAGE, COMMON, POLICY, SIGN_IN
from goldbake.clouds.failure import Scope, rows

CREDENTIALS = (
    *rows(
        Scope.ACCOUNT,
        CODES_PAGE,
        ("UnauthorizedOperation", "These credentials have no permission for {action}.", POLICY),
        (
            "AuthFailure",
            "AWS does not accept these credentials, or the region is not enabled for the account.",
            SIGN_IN + "; regions are enabled at https://console.aws.amazon.com/billing/home#/account",
        ),
        (
            "OptInRequired",
            "The account has not subscribed to this service, this region or this AMI of the Marketplace.",
            "enable the region at https://console.aws.amazon.com/billing/home#/account, or accept the terms on the AMI's page",
        ),
        ("Blocked", "AWS has blocked the account.", "open a case at https://console.aws.amazon.com/support"),
        (
            "OperationNotPermitted",
            "A setting of the account or of the resource does not permit {action}.",
            "the words of AWS name the setting, as block public access for AMIs",
        ),
    ),
    *rows(
        Scope.ACCOUNT,
        COMMON,
        ("AccessDenied", "These credentials have no permission for {action}.", POLICY),
        ("AccessDeniedException", "These credentials have no permission for {action}.", POLICY),
        ("NotAuthorized", "These credentials have no permission for {action}.", POLICY),
        ("ExpiredToken", "The credentials' session has expired.", SIGN_IN),
        ("ExpiredTokenException", "The credentials' session has expired.", SIGN_IN),
        ("InvalidClientTokenId", "AWS does not know this access key: it is mistyped, deactivated or deleted.", SIGN_IN),
        ("UnrecognizedClientException", "AWS does not know this access key or session token.", SIGN_IN),
        ("InvalidToken", "The session token is malformed or not that of this access key.", SIGN_IN),
        ("InvalidIdentityToken", "The identity token of the web identity is not accepted.", SIGN_IN),
        ("MissingAuthenticationToken", "The request came without credentials.", SIGN_IN),
        ("MissingAuthenticationTokenException", "The request came without credentials.", SIGN_IN),
        ("IncompleteSignature", "The signature is incomplete: the secret key, or a proxy that changes requests.", SIGN_IN),
        (
            "SignatureDoesNotMatch",
            "The secret access key is not that of this access key, or this machine's clock is wrong.",
            f"{SIGN_IN}; {CLOCK}",
        ),
        (
            "InvalidSignatureException",
            "The secret access key is not that of this access key, or this machine's clock is wrong.",
            f"{SIGN_IN}; {CLOCK}",
        ),
        ("RequestExpired", "This machine's clock is wrong, or the credentials' session has expired.", f"{CLOCK}; {SIGN_IN}"),
        ("RequestTimeTooSkewed", "This machine's clock is wrong.", CLOCK),
        (
            "SubscriptionRequiredException",
            "The account has no subscription to this service.",
            "finish the account's sign-up at https://portal.aws.amazon.com",
        ),
        (
            "RegionDisabledException",
            "The region is not enabled for this account.",
            "enable it at https://console.aws.amazon.com/billing/home#/account",
        ),
    ),
)

SDK = rows(
    Scope.ACCOUNT,
    BOTOCORE,
    ("NoCredentialsError", "There are no AWS credentials.", "run `aws configure` or `aws sso login`, or set AWS_PROFILE"),
    ("PartialCredentialsError", "Half of the AWS credentials is missing.", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"),
    (
        "CredentialRetrievalError",
        "The program or role that gives the credentials failed.",
        "see credential_process and role_arn in ~/.aws/config",
    ),
    ("MetadataRetrievalError", "This machine's metadata service gives no credentials.", "attach an instance profile, or set AWS_PROFILE"),
    ("ProfileNotFound", "There is no such profile.", "see `aws configure list-profiles`, and AWS_PROFILE"),
    ("ConfigParseError", "~/.aws/config or ~/.aws/credentials cannot be read.", "correct the file that is named"),
    ("ConfigNotFound", "The configuration file is not there.", "see AWS_CONFIG_FILE"),
    ("InvalidConfigError", "The profile cannot work.", "correct ~/.aws/config"),
    ("TokenRetrievalError", "The sign-in of IAM Identity Center has expired.", "run `aws sso login`"),
    ("UnauthorizedSSOTokenError", "The sign-in of IAM Identity Center has expired.", "run `aws sso login`"),
    ("SSOTokenLoadError", "There is no sign-in of IAM Identity Center here.", "run `aws sso login`"),
    ("SSOError", "The sign-in of IAM Identity Center does not work.", "run `aws sso login`"),
    ("LoginRefreshRequired", "The sign-in has expired.", "run `aws login`"),
    ("LoginError", "The sign-in does not work.", "run `aws login`"),
    ("NoAuthTokenError", "There is no token for this call.", "run `aws sso login`"),
    ("UnknownCredentialError", "The profile names a source of credentials that the SDK does not know.", "correct ~/.aws/config"),
    ("RefreshWithMFAUnsupportedError", "A session with MFA cannot be renewed without a person.", "sign in again"),
    ("MissingDependencyException", "The SDK lacks a part that the profile needs.", "pip install 'botocore[crt]' in .venv"),
)
