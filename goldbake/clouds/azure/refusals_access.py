"""The codes of Azure about sign-in, permissions and what a subscription allows; see `refusals`."""

from __future__ import annotations

from goldbake.clouds.azure.refusals import AGAIN, CODES_PAGE, LISTED, SKYPILOT
from goldbake.clouds.failure import Scope, rows
from goldbake.errors import Exit

RBAC = "https://learn.microsoft.com/azure/role-based-access-control/troubleshooting"
AADSTS = "https://learn.microsoft.com/entra/identity-platform/reference-error-codes"
PROVIDERS = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider"
POLICY = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy"
TERMS = "https://learn.microsoft.com/azure/virtual-machines/linux/cli-ps-findimage"
LOCKS = "https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources"
IDENTITY = "azure-identity and azure-core, their exceptions"

SIGN_IN = "sign in again (`az login`), or correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
SECRET = "`az ad app credential reset --id $AZURE_CLIENT_ID` makes a new secret: set AZURE_CLIENT_SECRET (or ARM_CLIENT_SECRET) to it"
_GIVE = "give the role of docs/reference/azure-role.json: `az role assignment create --assignee-object-id {who} --role goldbake --scope "
_WAIT = "`; a new assignment needs some minutes; `./inv doctor --cloud azure` looks at each action"
ROLE = f"{_GIVE}{{subscription}}{_WAIT}"
LINKED = f"{_GIVE}{{scope}}{_WAIT}"
REGISTER = "`az provider register --namespace {provider} --wait`, once for the subscription, by somebody who may"
ACCEPT = "`az vm image terms accept --publisher PUBLISHER --offer OFFER --plan SKU`, with the names in Azure's words"
SUBSCRIPTIONS = "`az account list --output table` shows the subscriptions of these credentials; see AZURE_SUBSCRIPTION_ID"

CREDENTIALS = (
    *rows(
        Scope.ACCOUNT,
        RBAC,
        ("AuthorizationFailed", "These credentials may not do {action} at {scope}.", ROLE),
        ("LinkedAuthorizationFailed", "These credentials may not do {action} at {scope}, which the request also needs.", LINKED),
        (
            "DenyAssignmentAuthorizationFailed",
            "A deny assignment forbids this, whatever the roles say.",
            "ask those who manage the subscription",
        ),
        ("Forbidden", "These credentials may not do this.", ROLE),
    ),
    *rows(
        Scope.ACCOUNT,
        CODES_PAGE,
        ("AuthenticationFailed", "Azure does not accept these credentials.", SIGN_IN),
        ("InvalidAuthenticationToken", "Azure does not accept the token of these credentials.", SIGN_IN),
        ("ExpiredAuthenticationToken", "The token has expired.", SIGN_IN + "; this machine's clock must be right"),
        (
            "InvalidAuthenticationTokenTenant",
            "These credentials belong to another directory (tenant) than the subscription.",
            "`az login --tenant TENANT`, or correct AZURE_TENANT_ID; " + SUBSCRIPTIONS,
        ),
    ),
)

SIGN_IN_CODES = (
    *rows(
        Scope.ACCOUNT,
        AADSTS,
        ("AADSTS7000222", "The client secret of the service principal has expired.", SECRET),
        (
            "AADSTS7000215",
            "That is no secret of this service principal; as often as not it is the secret's id instead of its value.",
            SECRET,
        ),
        ("AADSTS700016", "There is no such application in this directory.", "correct AZURE_CLIENT_ID and AZURE_TENANT_ID"),
        ("AADSTS7000229", "The application has no service principal in this directory.", "`az ad sp create --id $AZURE_CLIENT_ID`"),
        ("AADSTS7000112", "The application is disabled.", "have it enabled by those who manage the directory"),
        ("AADSTS90002", "There is no such directory (tenant).", "correct AZURE_TENANT_ID; `az account list` shows it"),
        ("AADSTS900023", "That is no directory (tenant).", "correct AZURE_TENANT_ID; `az account list` shows it"),
        (
            "AADSTS900382",
            "The sign-in goes to another cloud than the directory's: Azure has separate ones for China and for the US government.",
            "correct AZURE_TENANT_ID; goldbake speaks with Azure's public cloud",
        ),
        (
            "AADSTS90099",
            "The application is not authorized in this directory.",
            "an administrator of the directory has to consent: `az ad app permission admin-consent --id $AZURE_CLIENT_ID`",
        ),
        ("AADSTS50034", "There is no such user in this directory.", "`az login --tenant TENANT`"),
        ("AADSTS50076", "The directory wants a second factor.", "`az login`, or a service principal for machines"),
        ("AADSTS50079", "The directory wants a second factor to be set up.", "`az login`, or a service principal for machines"),
        ("AADSTS50078", "The second factor has expired.", "`az login`"),
        ("AADSTS50173", "The sign-in was revoked, as by a new password.", "`az login`"),
        ("AADSTS70008", "The sign-in has expired.", "`az login`"),
        ("AADSTS70043", "The sign-in has expired: the directory limits how long one lasts.", "`az login`"),
        ("AADSTS700082", "The sign-in has expired: it was not used for too long.", "`az login`"),
        ("AADSTS53003", "A rule of the directory (conditional access) forbids this sign-in.", "ask those who manage the directory"),
        ("AADSTS530003", "The directory demands a managed device.", "a service principal, or a device that the directory knows"),
        ("AADSTS500011", "The directory does not know Azure Resource Manager.", "correct AZURE_TENANT_ID"),
        (
            "AADSTS700024",
            "The signed assertion is out of its time: this machine's clock is wrong, or the token of the pipeline has expired.",
            "set the clock: `timedatectl set-ntp true`; get a new token",
        ),
        (
            "AADSTS700027",
            "The certificate is not that of the service principal, or has expired.",
            "`az ad app credential reset --id $AZURE_CLIENT_ID --cert @cert.pem`; see AZURE_CLIENT_CERTIFICATE_PATH",
        ),
        (
            "AADSTS700213",
            "No federated credential of the application fits this token.",
            "`az ad app federated-credential list --id $AZURE_CLIENT_ID`: issuer and subject must be the token's",
        ),
        (
            "AADSTS70021",
            "No federated credential of the application fits this token.",
            "`az ad app federated-credential list --id $AZURE_CLIENT_ID`: issuer and subject must be the token's",
        ),
        ("invalid_client", "The directory does not accept the service principal's secret or certificate.", SECRET),
        ("invalid_grant", "The sign-in has expired or was revoked.", "`az login`"),
        ("unauthorized_client", "The directory does not accept this application.", "correct AZURE_CLIENT_ID and AZURE_TENANT_ID"),
        ("invalid_request", "The directory does not understand the sign-in.", SIGN_IN),
    ),
    *rows(
        Scope.RETRY,
        AADSTS,
        ("AADSTS90033", "The directory is overloaded.", AGAIN),
    ),
)

SDK = rows(
    Scope.ACCOUNT,
    IDENTITY,
    (
        "CredentialUnavailableError",
        "There are no credentials of Azure here.",
        "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    ),
    ("AuthenticationRequiredError", "The sign-in needs a person.", "run `az login`"),
    ("ClientAuthenticationError", "Azure does not accept these credentials.", SIGN_IN),
)

SUBSCRIPTION = (
    *rows(
        Scope.ACCOUNT,
        PROVIDERS,
        ("MissingSubscriptionRegistration", "The subscription has never used {provider}, which must be registered first.", REGISTER),
        ("SubscriptionNotRegistered", "The subscription has never used {provider}, which must be registered first.", REGISTER),
        ("InvalidSubscriptionRegistrationState", "The registration of {provider} is not finished.", REGISTER),
        ("MissingRegistrationForLocation", "The subscription's registration of {provider} does not hold in this region.", REGISTER),
        ("MissingRegistrationForType", "The subscription's registration of {provider} lacks this kind of resource.", REGISTER),
        (
            "FeatureNotRegistered",
            "The subscription lacks a feature that has to be switched on.",
            "`az feature register --namespace NAMESPACE --name FEATURE`, with the names in Azure's words",
        ),
        (
            "SubscriptionNotRegisteredForFeature",
            "The subscription lacks a feature that has to be switched on.",
            "`az feature register --namespace NAMESPACE --name FEATURE`, with the names in Azure's words",
        ),
    ),
    *rows(
        Scope.ACCOUNT,
        POLICY,
        (
            "RequestDisallowedByPolicy",
            "The policy {policy} (assignment {assignment}) forbids this.",
            "change what it forbids (region, size, public address, tags), or ask those who keep it; `az policy assignment list` shows them",
        ),
    ),
    *rows(
        Scope.ACCOUNT,
        TERMS,
        (
            "MarketplacePurchaseEligibilityFailed",
            "The subscription has not accepted the terms of this image of the Marketplace, or may buy nothing.",
            ACCEPT,
        ),
        ("ResourcePurchaseValidationFailed", "The subscription has not accepted the terms of this image of the Marketplace.", ACCEPT),
        ("VMMarketplaceInvalidInput", "The image of the Marketplace needs its plan in the request, or has none.", "use another base image"),
    ),
    *rows(
        Scope.ACCOUNT,
        SKYPILOT,
        (
            "ReadOnlyDisabledSubscription",
            "The subscription is disabled: nothing can be made in it.",
            "https://portal.azure.com/#view/Microsoft_Azure_Billing/SubscriptionsBladeV2",
        ),
    ),
    *rows(
        Scope.ACCOUNT,
        CODES_PAGE,
        (
            "DisallowedOperation",
            "The subscription is disabled or of a kind that may not do this.",
            "https://portal.azure.com/#view/Microsoft_Azure_Billing/SubscriptionsBladeV2",
        ),
        ("SubscriptionNotFound", "There is no such subscription, or not for these credentials.", SUBSCRIPTIONS),
        ("InvalidSubscriptionId", "That is no subscription: it is 32 hexadecimal digits with dashes.", SUBSCRIPTIONS),
        ("SubscriptionNotAuthorizedForImage", "The subscription may not use this image.", "use another base image"),
    ),
    *rows(
        Scope.ACCOUNT,
        LISTED,
        (
            "CustomerDeniedServicePlanAccess",
            "The agreement of the subscription does not allow this offer.",
            "ask those who manage its billing",
        ),
    ),
    *rows(
        Scope.REQUEST,
        LOCKS,
        (
            "ScopeLocked",
            "A lock on the resource or its group forbids this.",
            "`az lock list --resource-group {group}` shows it; those who made it can delete it",
        ),
        exit_code=Exit.FAILED,
    ),
)
