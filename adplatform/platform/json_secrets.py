"""Secrets that are JSON objects."""

from typing import Any

from adplatform.platform.json_text import parsed


def json_object(text: str) -> dict[str, Any]:
    """The members of a secret; none where it is no JSON object. What the parser says of it is kept to itself: it quotes
    the secret."""
    try:
        found = parsed(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
