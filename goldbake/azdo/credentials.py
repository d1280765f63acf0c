"""Organization, pool and PAT of this run, under the names that the agent's own containers use: AZP_URL, AZP_POOL, AZP_TOKEN, AZP_TOKEN_FILE."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path

from goldbake.azdo.errors import Kind, azdo_error
from goldbake.azdo.organization import organization_url, tokens_page
from goldbake.secret import Secret

DEFAULT_POOL = "Default"
"""The pool that every organization has from the start."""

_LONGEST = 8192
"""Characters: a PAT has 52 or 84, an Entra access token about 2000."""

_taken: dict[str, Secret] = {}


def organization(flag: str = "", environ: MutableMapping[str, str] = os.environ) -> str:
    """The organization's URL, from the flag or AZP_URL. Raises AzureDevOpsError (exit 2) when neither names one."""
    named = flag or environ.get("AZP_URL", "")
    if not named.strip():
        raise azdo_error(Kind.ORGANIZATION_MISSING)
    return organization_url(named)


def pool(flag: str = "", environ: MutableMapping[str, str] = os.environ) -> str:
    """The pool's name, from the flag or AZP_POOL, else `Default`."""
    return flag.strip() or environ.get("AZP_POOL", "").strip() or DEFAULT_POOL


def pat(
    warn: Callable[[str], None],
    *,
    organization: str = "",
    ask: Callable[[str], str] | None = None,
    environ: MutableMapping[str, str] = os.environ,
) -> Secret:
    """The PAT: AZP_TOKEN, else the file that AZP_TOKEN_FILE names, else what is typed on the terminal.

    AZP_TOKEN is removed from `environ`, so that no program that this process starts can see it; it is remembered for the next call. `warn`
    hears of a file that others may read. `ask` is what asks on a terminal; without one nobody is asked when there is no terminal.
    Raises AzureDevOpsError (exit 4).
    """
    text = environ.pop("AZP_TOKEN", None)
    if text is not None:
        _taken["AZP_TOKEN"] = _checked(text, "AZP_TOKEN", organization)
    if "AZP_TOKEN" in _taken:
        return _taken["AZP_TOKEN"]
    if name := environ.get("AZP_TOKEN_FILE"):
        return _checked(_read(name, warn, organization), f"AZP_TOKEN_FILE ({name})", organization)
    ask = ask or (_on_terminal if sys.stdin.isatty() and sys.stderr.isatty() else None)
    if ask is None:
        raise azdo_error(Kind.PAT_MISSING, tokens=tokens_page(organization))
    try:
        typed = ask(f"PAT for {organization or 'Azure DevOps'}: ")
    except EOFError:
        typed = ""
    return _checked(typed, "what was typed", organization)


def is_configured(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Whether a PAT can be had without asking anybody."""
    return bool("AZP_TOKEN" in environ or "AZP_TOKEN" in _taken or environ.get("AZP_TOKEN_FILE"))


def _on_terminal(prompt: str) -> str:
    return getpass.getpass(prompt, stream=sys.stderr)


def _checked(text: str, source: str, organization: str) -> Secret:
    """The PAT in `text`, its newline at the end trimmed. The message never repeats it."""
    value = text.rstrip("\r\n")
    problem = (
        "it is empty" if not value
        else "it is far too long for a PAT" if len(value) > _LONGEST
        else "it has control characters, spaces or letters that no PAT has" if not all("!" <= letter <= "~" for letter in value)
        else "it has quotes around it" if value[0] in "\"'" else ""
    )  # fmt: skip
    if problem:
        raise azdo_error(Kind.PAT_UNUSABLE, source=source, problem=problem, tokens=tokens_page(organization))
    return Secret(value)


def _read(name: str, warn: Callable[[str], None], organization: str) -> str:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LONGEST + 3)
        if stat.S_ISREG(mode) and mode & 0o077:
            warn(f"others may read the PAT in {path} (mode {stat.S_IMODE(mode):04o}); run `chmod 600 {path}`")
        return data.decode()
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise azdo_error(Kind.PAT_UNUSABLE, source=f"AZP_TOKEN_FILE ({name})", problem=problem, tokens=tokens_page(organization)) from error
