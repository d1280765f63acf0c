"""A certificate of the user's own, made known to the agent, to git and to everything else that trusts what the system trusts."""

from __future__ import annotations

import os

from . import TYPE_CHECKING
from .status import write

if TYPE_CHECKING:
    from .settings import Settings


def install(settings: Settings, ca: str) -> str:
    """Add the certificates where update-ca-certificates would, and return the file for --sslcacert; empty without certificates.

    That program itself takes seconds on an emulated machine; run later, it makes the same of it.
    """
    if not ca:
        return ""
    text = ca.strip() + "\n"
    path = f"{settings.state}/ca.pem"
    write(path, text, 0o644)
    write(f"{settings.own_certificates}/goldbake.crt", text, 0o644)
    try:
        with open(settings.certificates, encoding="ascii", errors="replace") as file:
            known = file.read()
    except FileNotFoundError:
        known = ""
    if text not in known:
        write(settings.certificates, known + text, 0o644)
    link = f"{os.path.dirname(settings.certificates)}/goldbake.pem"
    if not os.path.lexists(link):
        os.symlink(f"{settings.own_certificates}/goldbake.crt", link)
    return path
