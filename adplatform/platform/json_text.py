"""JSON that others wrote, as any encoding of Unicode, with the place of what is wrong in it."""

import json
import re
from typing import Any

DEEPEST = 200
"""Lists and objects within each other that a message says are too many; Python's parser takes about 900."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def parsed(text: str | bytes) -> Any:
    """The value of a JSON document; bytes may be in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        json.JSONDecodeError: it is no JSON, or nested too deeply.
        UnicodeDecodeError: the bytes are no text.
    """
    written = text if isinstance(text, str) else decoded(text)
    try:
        return json.loads(written)
    except RecursionError:
        raise json.JSONDecodeError(
            f"nested too deeply, in more than {DEEPEST} levels", written, _too_deep(written)
        ) from None


def decoded(body: bytes) -> str:
    """The text of a JSON document (RFC 8259, 8.1), without its byte order mark.

    Raises:
        UnicodeDecodeError: the bytes are no text.
    """
    return body.decode(json.detect_encoding(body)).removeprefix("\ufeff")


def _too_deep(text: str) -> int:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            return token.start()
    return 0
