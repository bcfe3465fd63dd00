"""What Google Ads does to a value before SHA-256 (Customer Match and enhanced conversions).

Country, state, city and postal code are not hashed there: the functions for them give the value to be sent in clear.
Phone numbers and countries have the canonical form there: E.164 with ``+``, unlike at Amazon and Meta.
Same signature as ``canonical``.
"""

from adplatform.privacy import canonical, text

_DOTS_DO_NOT_COUNT = ("gmail.com", "googlemail.com")


def email(value: str, country: str = "") -> str:
    """No blanks, lower case; without the dots before ``@`` for Gmail."""
    plain = text.without_blanks(value).lower()
    if not canonical.EMAIL.fullmatch(plain):
        return ""
    local, _, domain = plain.partition("@")
    if domain not in _DOTS_DO_NOT_COUNT:
        return plain
    local = local.replace(".", "")
    return f"{local}@{domain}" if local else ""


def words(value: str, country: str = "") -> str:
    """Names, street, city, state: lower case."""
    return text.single_spaced(value.lower())


def postal_code(value: str, country: str = "") -> str:
    return text.ascii_upper(text.single_spaced(value))
