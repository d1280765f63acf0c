"""What can go wrong between here and Azure DevOps: one table, from which errors are raised and their reference page is written.

    GoldbakeError
    └── AzureDevOpsError      has `kind`, one of the rows below
        ├── AccessError       exit 4   PAT or permission (a MissingError)
        ├── NoSuchName        exit 2   organization, pool or agent that is not there (a UsageError)
        ├── ServiceError      exit 1   the service answered, and not as it should
        └── Unreachable       exit 1   no answer came

`goldbake.azdo.reference` writes docs/reference/errors-azdo.md from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from goldbake.errors import GoldbakeError, MissingError, UsageError

SCOPE = "Agent Pools (Read & manage)"
"""The scope of a PAT that may register and remove agents: vso.agentpools_manage."""


class Kind(StrEnum):
    """The names of the rows."""

    PAT_MISSING = "pat-missing"
    PAT_UNUSABLE = "pat-unusable"
    PAT_EXPIRED = "pat-expired"
    PAT_REJECTED = "pat-rejected"
    PERMISSION = "permission"
    BLOCKED = "blocked"
    ORGANIZATION_MISSING = "organization-missing"
    ORGANIZATION_INVALID = "organization-invalid"
    ORGANIZATION_UNKNOWN = "organization-unknown"
    POOL_UNKNOWN = "pool-unknown"
    POOL_GONE = "pool-gone"
    POOL_HOSTED = "pool-hosted"
    AGENT_UNKNOWN = "agent-unknown"
    AGENT_BUSY = "agent-busy"
    CONFLICT = "conflict"
    REFUSED = "refused"
    VERSION = "version"
    THROTTLED = "throttled"
    FAILING = "failing"
    NOT_JSON = "not-json"
    BAD_ANSWER = "bad-answer"
    REDIRECTED = "redirected"
    DNS_UNKNOWN = "dns-unknown"
    DNS_FAILING = "dns-failing"
    NOT_LISTENING = "not-listening"
    NO_ROUTE = "no-route"
    CONNECT_TIMEOUT = "connect-timeout"
    ANSWER_TIMEOUT = "answer-timeout"
    CUT = "cut"
    TLS_UNTRUSTED = "tls-untrusted"
    TLS_FAILED = "tls-failed"
    PROXY = "proxy"
    PROXY_INVALID = "proxy-invalid"
    CERTIFICATES = "certificates"


class Retry(StrEnum):
    """Whether the client asks again by itself."""

    NEVER = "no"
    IDEMPOTENT = "yes, unless something would be created"
    """The service may have done what was asked before the answer was lost."""
    ALWAYS = "yes"
    """The service has certainly not done what was asked."""


class AzureDevOpsError(GoldbakeError):
    """Anything that went wrong with Azure DevOps; `kind` is its row in `ROWS`."""

    def __init__(self, kind: Kind, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class AccessError(AzureDevOpsError, MissingError):
    """The PAT, or what it may do, is not enough."""


class NoSuchName(AzureDevOpsError, UsageError):
    """An organization, pool or agent that is not there, or is written as it cannot be."""


class ServiceError(AzureDevOpsError):
    """The service answered, and not with what was asked for."""


class Unreachable(AzureDevOpsError):
    """No complete answer came."""


@dataclass(frozen=True)
class Row:
    """One kind of error. `{names}` in `what` and `hint` are filled in when it happens; `when` is for the reference page."""

    type: type[AzureDevOpsError]
    when: str
    what: str
    hint: str
    retry: Retry = Retry.NEVER


_NEW_PAT = f"make one at {{tokens}} with the scope {SCOPE}, and put it into AZP_TOKEN or a file that AZP_TOKEN_FILE names"
_STATUS_PAGE = "see https://status.dev.azure.com, then run the same command again"

ROWS: Mapping[Kind, Row] = {
    Kind.PAT_MISSING: Row(
        AccessError,
        "no PAT was given, and there is no terminal to ask on",
        "there is no PAT: neither AZP_TOKEN nor AZP_TOKEN_FILE is set",
        _NEW_PAT,
    ),
    Kind.PAT_UNUSABLE: Row(
        AccessError,
        "the variable, file or answer that should hold the PAT holds something else",
        "no PAT can be read from {source}: {problem}",
        _NEW_PAT,
    ),
    Kind.PAT_EXPIRED: Row(
        AccessError,
        "401, and the service says that the PAT has expired",
        "the PAT for {organization} has expired{said}",
        _NEW_PAT,
    ),
    Kind.PAT_REJECTED: Row(
        AccessError,
        "401, a sign-in page (203), a redirection to one, or an answer for nobody in particular",
        "{organization} does not accept the PAT ({status}): it is expired, revoked, mistyped or of another organization{said}",
        _NEW_PAT,
    ),
    Kind.PERMISSION: Row(
        AccessError,
        "403 from the service: the PAT lacks the scope, or its user the role Administrator of the pool",
        "the PAT may not do this in {organization}{of_pool}{said}",
        f"give the PAT the scope {SCOPE} at {{tokens}}, and its user the role Administrator at {{organization}}/_settings/agentpools",
    ),
    Kind.BLOCKED: Row(
        AccessError,
        "403 that is not in the service's words: a proxy, a firewall, or an access policy of the organization",
        "access to {organization} is blocked on the way or by a policy (403, {media}){said}",
        "ask who runs the proxy here, and who set the organization's access policies ({organization}/_settings/organizationPolicy)",
    ),
    Kind.ORGANIZATION_MISSING: Row(
        NoSuchName,
        "neither `--organization` nor AZP_URL",
        "no organization is named",
        "add --organization NAME, or set AZP_URL=https://dev.azure.com/NAME",
    ),
    Kind.ORGANIZATION_INVALID: Row(
        NoSuchName,
        "what names the organization is neither a name nor an https URL",
        "{value} cannot be an organization: {problem}",
        "write its name, or its URL as https://dev.azure.com/NAME",
    ),
    Kind.ORGANIZATION_UNKNOWN: Row(
        NoSuchName,
        "404 for the service's own addresses",
        "there is no organization at {organization} (404){said}",
        "correct AZP_URL or --organization: the address that a browser shows, up to and with the organization's name",
    ),
    Kind.POOL_UNKNOWN: Row(
        NoSuchName,
        "the list of pools has no such name",
        "there is no pool {pool} in {organization}, or the PAT's user may not see it{meant}",
        "`./inv launch --pool {pool_word} --create-pool` makes it; existing pools: {organization}/_settings/agentpools",
    ),
    Kind.POOL_GONE: Row(
        NoSuchName,
        "404 for a pool that was found before",
        "the pool {pool} is not in {organization} any more, or the PAT's user may not see it{said}",
        "existing pools: {organization}/_settings/agentpools",
    ),
    Kind.POOL_HOSTED: Row(
        NoSuchName,
        "the pool is one of Microsoft's own machines",
        "{pool} in {organization} is a pool of Microsoft's own machines: no agent of yours can join it",
        "name another with --pool or AZP_POOL; `./inv launch --pool NAME --create-pool` makes one",
    ),
    Kind.AGENT_UNKNOWN: Row(
        NoSuchName,
        "404 for an agent",
        "there is no such agent in the pool {pool} of {organization}{said}",
        "somebody removed it; see {organization}/_settings/agentpools",
    ),
    Kind.AGENT_BUSY: Row(
        ServiceError,
        "an agent with a job is to be removed",
        "the agent in the pool {pool} of {organization} is running a job{said}",
        "wait for its job, or cancel it, then run the same command again",
    ),
    Kind.CONFLICT: Row(
        ServiceError,
        "409: a pool or agent of this name exists",
        "{organization} has this already{said}",
        "choose another name, or use what is there: {organization}/_settings/agentpools",
    ),
    Kind.REFUSED: Row(
        ServiceError,
        "any other 4xx",
        "{organization} refused {request} ({status}){said}",
        "correct what it names; if nothing is wrong there, report it with the command and this line",
    ),
    Kind.VERSION: Row(
        ServiceError,
        "400, and the service does not know the version of its API that goldbake speaks",
        "{organization} does not speak version {version} of the API{said}",
        "goldbake needs Azure DevOps Services, or Azure DevOps Server 2022.1 or later",
    ),
    Kind.THROTTLED: Row(
        ServiceError,
        "429; its Retry-After is waited for when it is not longer than a minute",
        "{organization} lets nobody ask more often for now (429{wait}){said}",
        "wait{wait_for}, then run the same command again; {organization}/_settings/usage shows who asks so often",
        Retry.ALWAYS,
    ),
    Kind.FAILING: Row(
        ServiceError,
        "5xx or 408",
        "{organization} failed on {request} ({status}){said}",
        _STATUS_PAGE,
        Retry.IDEMPOTENT,
    ),
    Kind.NOT_JSON: Row(
        ServiceError,
        "a page instead of data",
        "{organization} answered {request} with {media} instead of JSON{said}",
        "is this the address of Azure DevOps? a proxy that wants a log-in answers like this as well",
    ),
    Kind.BAD_ANSWER: Row(
        ServiceError,
        "JSON that is cut, too large, or lacks what the API description promises",
        "{organization} answered {request} with something unexpected: {problem}",
        "is this the address of Azure DevOps, and is the proxy in order? If both are, report it with this line",
    ),
    Kind.REDIRECTED: Row(
        ServiceError,
        "a redirection that does not lead to a sign-in page; none is followed, since the PAT would go along",
        "{organization} redirects to {target} ({status})",
        "if the organization has moved, put its new address into AZP_URL or --organization",
    ),
    Kind.DNS_UNKNOWN: Row(
        Unreachable,
        "the name has no address",
        "{host} is unknown to the name server: {problem}",
        "correct AZP_URL or --organization; behind a proxy set HTTPS_PROXY",
    ),
    Kind.DNS_FAILING: Row(
        Unreachable,
        "the name server does not answer",
        "the address of {host} cannot be looked up: {problem}",
        "is this machine online? see /etc/resolv.conf; behind a proxy set HTTPS_PROXY",
        Retry.ALWAYS,
    ),
    Kind.NOT_LISTENING: Row(
        Unreachable,
        "the connection is refused",
        "{host} refuses the connection",
        "is the port right, and does the service run? behind a proxy set HTTPS_PROXY",
        Retry.ALWAYS,
    ),
    Kind.NO_ROUTE: Row(
        Unreachable,
        "no way to the address",
        "{host} cannot be reached: {problem}",
        "is this machine online? behind a proxy set HTTPS_PROXY",
        Retry.ALWAYS,
    ),
    Kind.CONNECT_TIMEOUT: Row(
        Unreachable,
        "no connection within the time",
        "{host} did not accept a connection within {seconds} s",
        "a firewall may drop it; behind a proxy set HTTPS_PROXY",
        Retry.ALWAYS,
    ),
    Kind.ANSWER_TIMEOUT: Row(
        Unreachable,
        "a connection, and no complete answer within the time",
        "{host} did not complete its answer to {request} within {seconds} s",
        _STATUS_PAGE,
        Retry.IDEMPOTENT,
    ),
    Kind.CUT: Row(
        Unreachable,
        "the connection ended before the answer did, or no HTTP was spoken",
        "the connection to {host} broke during {request}: {problem}",
        "run the same command again; if it stays, look at the proxy or firewall between here and {host}",
        Retry.IDEMPOTENT,
    ),
    Kind.TLS_UNTRUSTED: Row(
        Unreachable,
        "the certificate is of nobody whom this machine trusts, of another name, or out of date",
        "the certificate of {host} is not trusted: {problem}",
        "name the certificates of your proxy or server in SSL_CERT_FILE; if it is called expired or not yet valid, look at this clock",
    ),
    Kind.TLS_FAILED: Row(
        Unreachable,
        "no TLS could be agreed on",
        "no TLS with {host}: {problem}",
        "is the port right? Azure DevOps speaks https only",
    ),
    Kind.PROXY: Row(
        Unreachable,
        "the proxy does not connect to the service",
        "{host} does not connect: {problem}",
        "correct HTTPS_PROXY (user and password go into its URL), or add the service's host to NO_PROXY",
    ),
    Kind.PROXY_INVALID: Row(
        NoSuchName,
        "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used",
        "the proxy that {source} names cannot be used: {problem}",
        "write http://HOST:PORT",
    ),
    Kind.CERTIFICATES: Row(
        NoSuchName,
        "the file of trusted certificates cannot be read",
        "{source} has no certificates to trust: {problem}",
        "it has to be a file of PEM certificates",
    ),
}
"""Every kind of error, in the order of the reference page."""


def azdo_error(kind: Kind, **values: object) -> AzureDevOpsError:
    """The error of this kind with its values filled in."""
    row = ROWS[kind]
    return row.type(kind, row.what.format_map(values), hint=row.hint.format_map(values))
