"""References to secrets in Azure Key Vault, as the catalogue writes them.

    keyvault://{vault}/{secret}             the newest version
    keyvault://{vault}/{secret}/{version}   that one

The names become a host and a path, so they are held to Key Vault's own alphabet: no reference leads to another host.

Source: Azure Key Vault keys, secrets and certificates overview, "Objects, identifiers, and versioning" (read 2026-11-22).
"""

import re

import msgspec

from gateway.domain.deployment import Auth

SCHEME = "keyvault://"
REFERENCE_RULE = (
    "write keyvault://vault/secret or keyvault://vault/secret/version, with the vault's name and not its host; "
    "names are letters, digits and hyphens"
)
_REFERENCE = re.compile(
    r"keyvault://(?=[^/]{3,24}/)([A-Za-z](?:-?[A-Za-z0-9])+)/([A-Za-z0-9-]{1,127})(?:/([0-9A-Fa-f]{32}))?",
)


class SecretReference(msgspec.Struct, frozen=True):
    """Where a secret is; `version` is empty for the newest."""

    vault: str
    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.vault}/{self.name}" + (f"/{self.version}" if self.version else "")


def parse_reference(text: str) -> SecretReference | None:
    """Return the reference that a text is; None where it is none, or a bad one."""
    match = _REFERENCE.fullmatch(text) if text.startswith(SCHEME) else None
    return SecretReference(match[1].lower(), match[2], match[3] or "") if match else None


def is_referred(auth: Auth) -> bool:
    """Tell whether a credential has to be read from a vault."""
    return auth.key.startswith(SCHEME) or auth.session_token.startswith(SCHEME)
