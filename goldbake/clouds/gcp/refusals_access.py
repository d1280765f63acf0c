"""Codes about who asks, what a project may, and what its organization allows; and the SDK's own about credentials and the network."""

from __future__ import annotations

from goldbake.clouds.failure import Scope, Worded, rows
from goldbake.clouds.gcp.refusals import AUTOSCALER, CATALOGUE, CREATING
from goldbake.clouds.gcp.session import NO_CREDENTIALS, TOKEN

REASONS = "google.api.ErrorReason, google/api/error_reason.proto"
GOOGLE_AUTH = "google-auth, google/auth/exceptions.py"
REQUESTS = "requests, requests/exceptions.py"
CONSTRAINTS = "https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints"

ROLE = (
    "give these credentials the role of docs/reference/gcp-role.yaml, which has all that is needed (docs/how-to/gcp.md says how); `./inv doctor"
    " --cloud gcp` names everything that is missing"
)
ENABLE = "`gcloud services enable {service} --project {project}`, then wait some minutes"
BILLING = (
    "link one: `gcloud billing projects link {project} --billing-account ID` (`gcloud billing accounts list` shows them), or"
    " https://console.cloud.google.com/billing/linkedaccount?project={project}"
)
SIGN_IN = f"sign in again: {NO_CREDENTIALS}"
NETWORK = "check the network and HTTPS_PROXY; `./inv doctor --cloud gcp` shows what answers"
ORGANIZATION = "; only an administrator of organization policies can change that"

_MISSING = "These credentials may not do this: {permission} is missing."
_UNBILLED = "No billing account pays for the project {project}, so it can have no machines."
_DISABLED = "The API {service} is not enabled in the project {project}."
_NO_ACCOUNT = "These credentials may not give an instance this service account: iam.serviceAccounts.actAs is missing."
_NO_ACCOUNT_FIX = "give them roles/iam.serviceAccountUser on that account, or leave the service account away"
_SCOPES = "The token was made for less than this: its scopes do not include cloud-platform."
_SCOPES_FIX = (
    "`gcloud auth application-default login` makes one with all of them; on a machine of Google, give its account the scope"
    " https://www.googleapis.com/auth/cloud-platform"
)

ACCESS = (
    *rows(
        Scope.ACCOUNT,
        "https://github.com/flatcar/Flatcar/issues/609",
        ("forbidden", _MISSING, ROLE),
    ),
    *rows(
        Scope.ACCOUNT,
        CATALOGUE,
        ("PERMISSIONS_ERROR", "An account that this needs may not do it: {permission} is missing.", ROLE),
    ),
    *rows(
        Scope.ACCOUNT,
        "https://github.com/kubicorn/kubicorn/issues/475",
        ("SERVICE_ACCOUNT_ACCESS_DENIED", _NO_ACCOUNT, _NO_ACCOUNT_FIX),
    ),
    *rows(
        Scope.ACCOUNT,
        "https://github.com/midl-dev/tezos-on-gke/issues/34",
        ("accessNotConfigured", _DISABLED, ENABLE),
    ),
    *rows(
        Scope.ACCOUNT,
        "https://github.com/kyegomez/zeta/issues/71",
        ("UREQ_PROJECT_BILLING_NOT_FOUND", _UNBILLED, BILLING),
        ("UREQ_PROJECT_BILLING_NOT_OPEN", "The billing account of the project {project} is closed.", BILLING),
    ),
    *rows(
        Scope.ACCOUNT,
        REASONS,
        ("IAM_PERMISSION_DENIED", _MISSING, ROLE),
        ("SERVICE_DISABLED", _DISABLED, ENABLE),
        ("BILLING_DISABLED", _UNBILLED, BILLING),
        (
            "USER_PROJECT_DENIED",
            "These credentials may not count requests for the project {project}: serviceusage.services.use is missing.",
            ROLE,
        ),
        (
            "CONSUMER_INVALID",
            "The project {project} does not exist, or these credentials may not see it.",
            "check GOOGLE_CLOUD_PROJECT and gcp.project of images.yaml; `gcloud projects list` shows what there is",
        ),
        ("CONSUMER_SUSPENDED", "Google has suspended the project {project}.", "https://console.cloud.google.com/home/dashboard says why"),
        ("GCP_SUSPENDED", "Google has suspended this account.", "https://console.cloud.google.com says why"),
        ("ACCESS_TOKEN_EXPIRED", f"The access token has expired; those of {TOKEN} last an hour.", SIGN_IN),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", _SCOPES, _SCOPES_FIX),
        ("ACCOUNT_STATE_INVALID", "The account of these credentials is disabled or deleted.", SIGN_IN),
        ("CREDENTIALS_MISSING", "The request came without credentials.", NO_CREDENTIALS),
        ("JWT_TOKEN_INVALID", "Google does not accept the signature of this key, or the clock of this machine is wrong.", SIGN_IN),
        (
            "SECURITY_POLICY_VIOLATED",
            "The project is inside VPC Service Controls, which do not let this request in.",
            "run this inside the perimeter, or let an administrator add an ingress rule",
        ),
        (
            "ORG_RESTRICTION_VIOLATION",
            "The network that this came from may use only projects of its own organization.",
            "name a project of that organization",
        ),
        (
            "LOCATION_ORG_POLICY_VIOLATED",
            f"An organization policy does not allow this place{ORGANIZATION}.",
            "use a region that it allows: --region, gcp.region and gcp.storage_location of images.yaml",
        ),
    ),
    *rows(
        Scope.ACCOUNT,
        "https://cloud.google.com/apis/design/errors",
        ("PERMISSION_DENIED", _MISSING, ROLE),
        ("insufficientPermissions", _SCOPES, _SCOPES_FIX),
        ("authError", "Google does not accept these credentials.", SIGN_IN),
        ("UNAUTHENTICATED", "Google does not accept these credentials.", SIGN_IN),
    ),
    *rows(
        Scope.ACCOUNT,
        "https://github.com/gardener/gardener-extension-provider-gcp/issues/415",
        ("conditionNotMet", "Something that this needs is not so.", "Google's own words name it"),
    ),
    *rows(
        Scope.ACCOUNT,
        AUTOSCALER,
        ("CONDITION_NOT_MET", "Something that this needs is not so.", "Google's own words name it"),
    ),
)

SDK = (
    *rows(
        Scope.ACCOUNT,
        GOOGLE_AUTH,
        ("DefaultCredentialsError", "There are no credentials of Google Cloud, or they cannot be read.", NO_CREDENTIALS),
        ("MalformedError", "The file with the credentials is damaged.", SIGN_IN),
        ("ReauthFailError", "The organization wants this person to sign in again.", SIGN_IN),
        ("RefreshError", "Google does not renew these credentials: they have expired or were revoked.", SIGN_IN),
        ("GoogleAuthError", "The credentials cannot be used.", SIGN_IN),
    ),
    *rows(Scope.RETRY, GOOGLE_AUTH, ("TransportError", "Google's token service was not reached.", NETWORK)),
    *rows(
        Scope.ACCOUNT,
        REQUESTS,
        (
            "SSLError",
            "The certificate of what answered is not one that this machine trusts.",
            "for a company's proxy set REQUESTS_CA_BUNDLE",
        ),
        ("ProxyError", "The proxy does not let this through.", "check HTTPS_PROXY and NO_PROXY"),
    ),
    *rows(
        Scope.RETRY,
        REQUESTS,
        ("ConnectionError", "Google was not reached.", NETWORK),
        ("Timeout", "Google did not answer in time.", NETWORK),
        ("RequestException", "Google was not reached.", NETWORK),
    ),
)

_CONDITIONS = ("conditionNotMet", "CONDITION_NOT_MET")


def _policy(phrase: str, meaning: str, fix: str, source: str = CONSTRAINTS, scope: Scope = Scope.ACCOUNT) -> tuple[Worded, ...]:
    """An organization policy that is met, in the words of an HTTP error and of an operation's."""
    return tuple(Worded(phrase, row) for row in rows(scope, source, *((code, meaning, fix) for code in _CONDITIONS)))


ACCESS_WORDED = (
    *_policy(
        "compute.vmExternalIpAccess",
        f"An organization policy ({{constraint}}) forbids external addresses{ORGANIZATION}.",
        "launch without --public-ip and bake with `gcp.address: private` in images.yaml; both then need Cloud NAT or a proxy to reach the internet, see"
        " docs/how-to/gcp.md",
        "https://github.com/GoogleCloudPlatform/compute-image-tools/pull/1476",
    ),
    *_policy(
        "compute.trustedImageProjects",
        f"An organization policy ({{constraint}}) allows images of certain projects only{ORGANIZATION}.",
        "it has to allow projects/debian-cloud and projects/ubuntu-os-cloud for bakes, and the project {project} for launches: `gcloud"
        " resource-manager org-policies allow compute.trustedImageProjects projects/debian-cloud projects/ubuntu-os-cloud projects/{project}"
        " --project {project}`",
        "https://github.com/GoogleCloudPlatform/gce-rescue/pull/137",
    ),
    *_policy(
        "compute.requireOsLogin",
        f"An organization policy ({{constraint}}) demands OS Login, and Packer's key comes by metadata{ORGANIZATION}.",
        "bake in a project that it leaves out; agents that were launched need no login",
    ),
    *_policy(
        "compute.requireShieldedVm",
        f"An organization policy ({{constraint}}) demands Shielded VMs with Secure Boot{ORGANIZATION}.",
        "bake with `secure_boot: true` in images.yaml, in an image for gcp alone: the driver's modules are then signed (docs/how-to/gcp.md says how);"
        " its machines start with Secure Boot",
        "https://github.com/GoogleCloudPlatform/compute-image-tools/issues/1834",
    ),
    *_policy(
        "gcp.resourceLocations",
        f"An organization policy ({{constraint}}) does not allow this place{ORGANIZATION}.",
        "use a region that it allows: --region for a launch, gcp.region and gcp.storage_location of images.yaml for a bake",
        "https://github.com/GoogleCloudPlatform/cluster-toolkit/issues/1121",
        Scope.REGION,
    ),
    *_policy(
        "iam.disableServiceAccountCreation",
        f"An organization policy ({{constraint}}) forbids new service accounts{ORGANIZATION}.",
        "use an account that there is, or your own: `gcloud auth application-default login`",
    ),
    *_policy(
        "constraints/",
        f"An organization policy ({{constraint}}) forbids this{ORGANIZATION}.",
        f"see {CONSTRAINTS} for what it demands",
    ),
    *(
        Worded("fingerprint", row)
        for row in rows(
            Scope.RETRY,
            "https://cloud.google.com/compute/docs/metadata/setting-custom-metadata",
            *(
                (code, "Somebody else changed this at the same time.", "nothing: it is read and tried again; run the same command if not")
                for code in _CONDITIONS
            ),
        )
    ),
    *(
        Worded(phrase, row)
        for phrase in ("billing", "constraints/")
        for row in rows(
            Scope.ACCOUNT,
            "https://github.com/GoogleCloudPlatform/java-docs-samples/issues/276",
            ("forbidden", _UNBILLED, BILLING)
            if phrase == "billing"
            else ("forbidden", f"An organization policy ({{constraint}}) forbids this{ORGANIZATION}.", f"see {CONSTRAINTS}"),
        )
    ),
    *(
        Worded(phrase, row)
        for phrase, row in zip(
            ("authentication scopes", "serviceAccounts.actAs", "vpcServiceControls"),
            rows(
                Scope.ACCOUNT,
                CREATING,
                ("forbidden", _SCOPES, _SCOPES_FIX),
                ("forbidden", _NO_ACCOUNT, _NO_ACCOUNT_FIX),
                (
                    "forbidden",
                    "The project is inside VPC Service Controls, which do not let this request in.",
                    "run this inside the perimeter, or let an administrator add an ingress rule",
                ),
            ),
            strict=True,
        )
    ),
    *(
        Worded("access to service account", row)
        for row in rows(Scope.ACCOUNT, "https://github.com/kubicorn/kubicorn/issues/475", ("badRequest", _NO_ACCOUNT, _NO_ACCOUNT_FIX))
    ),
    *(
        Worded(phrase, row)
        for phrase, row in zip(
            ("rapt", "necessary fields", "Invalid JWT"),
            rows(
                Scope.ACCOUNT,
                "https://github.com/pulumi/pulumi-gcp/issues/479",
                (
                    "RefreshError",
                    "The organization lets a sign-in last only some hours, and this one is over.",
                    "`gcloud auth application-default login`; for machines use a service account",
                ),
                (
                    "RefreshError",
                    f"Google does not accept the token of {TOKEN}; such a token lasts an hour.",
                    f'`export {TOKEN}="$(gcloud auth print-access-token)"`, or unset it',
                ),
                (
                    "RefreshError",
                    "Google does not accept what this key signed: as a rule the clock of this machine is wrong.",
                    "`timedatectl set-ntp true`",
                ),
            ),
            strict=True,
        )
    ),
)
