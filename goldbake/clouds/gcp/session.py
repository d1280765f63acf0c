"""One project of Google Cloud through application default credentials: one client per service, shared by all threads."""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import google.auth
from google.api_core import exceptions, retry
from google.api_core.client_options import ClientOptions
from google.auth.exceptions import GoogleAuthError
from google.oauth2.credentials import Credentials
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as Unreached
from requests.exceptions import ProxyError, SSLError

from goldbake.errors import MissingError, UsageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials as AnyCredentials

TOKEN = "CLOUDSDK_AUTH_ACCESS_TOKEN"
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
PROJECTS = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
"""Where a project is looked for before the credentials' own; the first is the SDK's name, the second gcloud's."""
NO_CREDENTIALS = f"run `gcloud auth application-default login`, or name a service account's key file in {KEY_FILE}, or a token in {TOKEN}"
NO_PROJECT = f"set {PROJECTS[0]} to its id (`gcloud projects list` shows them); bakes take gcp.project of images.yaml first"

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_CONNECT_S = 10
_ANSWER_S = 60
_PATIENCE_S = 30
"""How long a reading call is made again while the service is not there or asks for less."""
_CONNECTIONS = 32
_COMPUTE_PATH = "/compute/v1"
_READING = frozenset(
    {"get", "list", "aggregated_list", "get_from_family", "get_serial_port_output", "get_project_billing_info", "get_service"}
    | {"batch_get_services", "get_iam_policy", "get_project", "test_iam_permissions", "wait"}
)
"""Methods that change nothing, so that they may be made twice."""
_BUSY = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})

T = TypeVar("T")


def is_configured() -> bool:
    """Whether there are credentials of Google Cloud and a project here; asks no service but this machine's own metadata service.

    The SDK itself would look for that service for some seconds on every machine; here it is asked only on Google's.
    """
    if not _has_credentials():
        return False
    try:
        return bool(Gcp().project)
    except MissingError:
        return False


class Gcp:
    """A project with application default credentials (`gcloud auth application-default login`, a key file, a machine's own account).

    `CLOUDSDK_AUTH_ACCESS_TOKEN` is stronger; `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE` (and the others of gcloud) lead elsewhere.
    """

    def __init__(self, project: str = "") -> None:
        self._clients: dict[type, Any] = {}
        self._mutex = threading.Lock()
        named = project or next((os.environ[name] for name in PROJECTS if os.environ.get(name)), "")
        self.credentials, own = _credentials()
        self.project = named or own
        if not self.project:
            raise MissingError("no project of Google Cloud is named", hint=NO_PROJECT)

    def client(self, kind: type[T]) -> T:
        """The client of a class of the SDK, as `compute_v1.InstancesClient`.

        Its reading calls are made again while the service is busy or not reached; all others are made once, so that their failure is
        seen as it is.
        """
        with self._mutex:  # making a client is not safe for threads, using one is
            if kind not in self._clients:
                self._clients[kind] = _Patient(self._made(kind))
            return cast("T", self._clients[kind])

    def _made(self, kind: type) -> Any:
        credentials: Any = self.credentials
        is_person = isinstance(credentials, Credentials) and credentials.refresh_token
        if is_person and not credentials.quota_project_id and service_of(kind) != "COMPUTE":
            # These services count a person's requests for a project that has to be named; Compute Engine takes that of the request.
            credentials = credentials.with_quota_project(self.project)
        client: Any = kind(
            credentials=credentials, transport="rest", client_options=ClientOptions(api_endpoint=endpoint(service_of(kind)) or None)
        )
        session = client.transport._session  # the SDK has no other way to its connections
        session.mount("https://", _Adapter(pool_maxsize=_CONNECTIONS))
        session.mount("http://", _Adapter(pool_maxsize=_CONNECTIONS))
        return client


def service_of(kind: type) -> str:
    """The service of a client's class as gcloud's variables write it, as `COMPUTE`."""
    package = kind.__module__.split(".")[2]  # google.cloud.compute_v1.services.…
    known = {"compute_v1": "COMPUTE", "resourcemanager_v3": "CLOUDRESOURCEMANAGER", "service_usage_v1": "SERVICEUSAGE"}
    return known.get(package, "CLOUDBILLING")


def endpoint(service: str) -> str:
    """Where a service is, as the SDK takes it (scheme and host), from gcloud's variable; empty: its usual place. Raises UsageError."""
    name = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}"
    given = os.environ.get(name, "").rstrip("/")
    if not given:
        return ""
    if service == "COMPUTE":
        if not given.endswith(_COMPUTE_PATH):
            raise UsageError(f"{name} is {given}", hint=f"it ends with {_COMPUTE_PATH}/, as https://compute.googleapis.com/compute/v1/")
        given = given.removesuffix(_COMPUTE_PATH)
    if urlsplit(given).scheme not in {"http", "https"}:
        raise UsageError(f"{name} is {given}", hint="it is a URL, as https://compute.googleapis.com/compute/v1/")
    return given


def _credentials() -> tuple[AnyCredentials, str]:
    token = os.environ.get(TOKEN)
    if token:
        make: Any = Credentials
        return make(token), ""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your application has authenticated using end user credentials")
        try:
            found, project = google.auth.default(scopes=_SCOPES)
        except GoogleAuthError as error:
            raise MissingError(f"there are no credentials of Google Cloud: {_first_sentence(error)}", hint=NO_CREDENTIALS) from error
    return found, project or ""


def _first_sentence(error: GoogleAuthError) -> str:
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")


def _has_credentials() -> bool:
    if os.environ.get(TOKEN) or os.environ.get(KEY_FILE):
        return True
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    if (folder / "application_default_credentials.json").is_file():
        return True
    if os.environ.get("GCE_METADATA_HOST"):
        return True
    try:
        return Path("/sys/class/dmi/id/product_name").read_text(encoding="utf-8").startswith("Google")
    except OSError:
        return False


class _Adapter(HTTPAdapter):
    """A connection that is not there is noticed in seconds; the SDK knows only one time-out, for the whole answer."""

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        answer = timeout[1] if isinstance(timeout, tuple) else timeout
        return super().send(request, stream, (_CONNECT_S, answer), *args, **kwargs)


class _Patient:
    """A client whose calls have time-outs and repetitions of ours unless the caller says others."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._calls: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._calls:
            found = getattr(self._client, name)
            self._calls[name] = partial(found, timeout=_ANSWER_S, retry=_AGAIN if name in _READING else None) if _is_call(found) else found
        return self._calls[name]


def _is_call(found: Any) -> bool:
    return callable(found) and {"retry", "timeout"} <= inspect.signature(found).parameters.keys()


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, exceptions.GoogleAPICallError):
        reasons = {found.get("reason") for found in error.errors if isinstance(found, dict)}
        return isinstance(error, exceptions.ServerError | exceptions.TooManyRequests) or not reasons.isdisjoint(_BUSY)
    return isinstance(error, Unreached) and not isinstance(error, ProxyError | SSLError)


_predicate: Callable[[Exception], bool] = _may_pass
_AGAIN = retry.Retry(predicate=_predicate, initial=0.5, maximum=8.0, multiplier=2.0, timeout=_PATIENCE_S)
