"""What config.sh was given: arguments first, then VSTS_AGENT_INPUT_* of the environment, then a question, then nothing.

Arguments are case-insensitive, and one that is not known is named and otherwise ignored: a typo is silent, as in the real agent.
"""

from __future__ import annotations

from .errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

PREFIX = "VSTS_AGENT_INPUT_"
FLAGS = frozenset(
    (
        "unattended", "replace", "acceptteeeula", "once", "norestart", "runasservice", "runasautologon", "overwriteautologon",
        "alwaysextracttask", "disableloguploads", "restreamlogstofiles", "sslskipcertvalidation", "gituseschannel", "usepoolpat",
        "adddeploymentgrouptags", "adddeploymentpooltags", "addvirtualmachineresourcetags", "environment", "deploymentgroup", "machinegroup",
        "deploymentpool", "launchbrowser", "debug", "enableservicesidtypeunrestricted", "preventservicestart", "help", "version", "commit",
        "diagnostics",
    )
)  # fmt: skip
NAMES = frozenset(
    (
        "url", "auth", "token", "username", "password", "clientid", "tenantid", "clientsecret", "pool", "agent", "work", "proxyurl",
        "proxyusername", "proxypassword", "sslcacert", "sslclientcert", "sslclientcertkey", "sslclientcertarchive", "sslclientcertpassword",
        "startuptype", "notificationpipename", "notificationsocketaddress", "monitorsocketaddress", "collectionname", "projectname",
        "deploymentgroupname", "deploymentgrouptags", "deploymentpoolname", "environmentname", "virtualmachineresourcetags",
        "windowslogonaccount", "windowslogonpassword",
    )
)  # fmt: skip
SECRETS = frozenset(("password", "proxypassword", "sslclientcertpassword", "token", "windowslogonpassword", "clientsecret"))


class Inputs:
    """All inputs of one call. Its environment variables are gone from `environ` once it exists.

    `unknown`: arguments that mean nothing. `secrets`: values that must not be written anywhere.
    """

    def __init__(self, arguments: list[str], environ: MutableMapping[str, str], ask: Callable[[str, bool], str]) -> None:
        self._ask = ask
        self._values: dict[str, str] = {}
        self.unknown: list[str] = []
        for name in [name for name in environ if name.upper().startswith(PREFIX)]:
            value = environ.pop(name).strip()
            if value:
                self._values[name[len(PREFIX) :].lower()] = value
        self._parse(arguments)
        self.secrets = [self._values[name] for name in SECRETS if self._values.get(name)]

    def _parse(self, arguments: list[str]) -> None:
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            name, equals, value = argument.removeprefix("--").partition("=")
            name = name.lower()
            if argument.startswith("--") and name in FLAGS:
                self._values[name] = value if equals else "true"
            elif argument.startswith("--") and name in NAMES:
                if not equals and rest and not rest[0].startswith("--"):
                    value = rest.pop(0)
                self._values[name] = value.strip()
            else:
                self.unknown.append(argument)

    def flag(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._values.get(name, "").lower() in {"true", "1", "y", "yes"}

    def given(self, name: str) -> str:
        """A value that may be missing."""
        return self._values.get(name, "")

    def value(self, name: str, question: str, *, default: str = "", valid: Callable[[str], bool] = bool) -> str:
        """A value that must be there: given, else the default when unattended, else the answer to `question`. Raises InputError."""
        given = self._values.get(name, "")
        if given and valid(given):
            return given
        if self.flag("unattended"):
            if not given and default and valid(default):
                return default
            raise InputError(f"Invalid configuration provided for {name}. Terminating unattended configuration.")
        while True:
            answer = (
                self._ask(f"Enter {question}" + (f" (press enter for {default})" if default else ""), name in SECRETS).strip() or default
            )
            if answer and valid(answer):
                if name in SECRETS:
                    self.secrets.append(answer)
                return answer


def shown(arguments: list[str]) -> str:
    """The arguments for the log, the values of secrets blanked."""
    masked, hide = [], False
    for argument in arguments:
        name, equals, _ = argument.removeprefix("--").partition("=")
        secret = argument.startswith("--") and name.lower() in SECRETS
        masked.append("***" if hide else f"--{name}=***" if secret and equals else argument)
        hide = secret and not equals
    return " ".join(masked)
