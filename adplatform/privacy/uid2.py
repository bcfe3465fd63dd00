"""What Unified ID 2.0 and European Unified ID do to a value before SHA-256 (UID2 documentation, "Normalization and
Encoding"). Phone numbers have the canonical form there, E.164 with ``+``; nothing else is an identifier.

Same signature as ``canonical``.
"""

from adplatform.privacy import canonical

_PLAIN_LOCAL = "gmail.com"


def email(value: str, country: str = "") -> str:
    """Lower case; of Gmail without the dots and without what follows a ``+`` in the local part."""
    if not canonical.EMAIL.fullmatch(value):
        return ""
    local, _, domain = value.lower().partition("@")
    if domain == _PLAIN_LOCAL:
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}" if local else ""
