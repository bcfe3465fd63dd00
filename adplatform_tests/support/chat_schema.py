"""What Amazon Q Developer in chat applications takes as a custom notification, as JSON Schema.

Written after the table of parameters in AWS's administrator guide of it ("Custom notifications using Amazon Q Developer
in chat applications"): which are required, and which values are fixed. Lengths are those that the platform keeps to.
"""

from typing import Any

from jsonschema import Draft202012Validator

from adplatform.platform.chat import DESCRIPTION, SHORT, TITLE


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": properties}


SCHEMA: dict[str, Any] = _object(
    ("version", "source", "content"),
    version={"const": "1.0"},
    source={"const": "custom"},
    id=_text(SHORT),
    content=_object(
        ("description",),
        textType={"const": "client-markdown"},
        title=_text(TITLE),
        description=_text(DESCRIPTION),
        nextSteps={"type": "array", "minItems": 1, "items": _text(500)},
        keywords={"type": "array", "minItems": 1, "items": _text(75)},
    ),
    metadata=_object(
        (),
        threadId=_text(SHORT),
        summary=_text(SHORT),
        eventType=_text(75),
        relatedResources={"type": "array", "items": _text(SHORT)},
        additionalContext={"type": "object", "additionalProperties": {"type": "string"}},
    ),
)


def require_chat(body: Any) -> None:
    Draft202012Validator(SCHEMA).validate(body)
