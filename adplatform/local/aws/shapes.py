"""Requests against the service model that botocore has, with all constraints: botocore's own clients look at few of
them, AWS at all."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from moto.core.utils import get_service_model

_SPACES = r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_JAVA_ASTRAL = r"\uD800\uDC00-\uDBFF\uDFFF"


def faults(shape: Any, value: Any, at: str = "") -> Iterator[str]:
    """What is wrong with a parsed request, in AWS's words; ``at`` is where in it ``value`` lies."""
    kind = shape.type_name
    if kind == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Value null at '{_inside(at, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from faults(member, value[name], _inside(at, name))
        return
    if kind == "list":
        for number, item in enumerate(value, 1):
            yield from faults(shape.member, item, f"{at}.{number}.member")
    elif kind == "map":
        for name, item in value.items():
            yield from faults(shape.key, name, f"{at}.{name}.key")
            yield from faults(shape.value, item, f"{at}.{name}.member")
    said = "Value" if shape.metadata.get("sensitive") else f"Value '{value}'"
    for constraint in _broken(shape, value):
        yield f"{said} at '{at}' failed to satisfy constraint: Member must {constraint}"


def refusal(service: str, operation: str, asked: Any) -> str:
    """Why a parsed request is refused, as the text of the error; "" where it is valid."""
    shape = get_service_model(service).operation_model(operation).input_shape
    found = list(faults(shape, asked)) if shape else []
    plural = "s" * (len(found) > 1)
    return f"{len(found)} validation error{plural} detected: {'; '.join(found)}" if found else ""


def _inside(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _broken(shape: Any, value: Any) -> Iterator[str]:
    rules = shape.metadata
    least, most = rules.get("min"), rules.get("max")
    if shape.type_name in ("string", "list", "map", "blob"):
        if least is not None and len(value) < least:
            yield f"have length greater than or equal to {least}"
        if most is not None and len(value) > most:
            yield f"have length less than or equal to {most}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        if least is not None and value < least:
            yield f"have value greater than or equal to {least}"
        if most is not None and value > most:
            yield f"have value less than or equal to {most}"
    if shape.type_name == "string":
        if rules.get("enum") and value not in rules["enum"]:
            yield f"satisfy enum value set: [{', '.join(rules['enum'])}]"
        if rules.get("pattern") and not _pattern(rules["pattern"]).fullmatch(value):
            yield f"satisfy regular expression pattern: {rules['pattern']}"


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """The models have Java's patterns: they write characters beyond 16 bits as pairs, name classes of Unicode, and have
    hyphens behind a class that stand for themselves. One with other classes than that of spaces allows everything
    here."""
    pattern = text.replace(_JAVA_ASTRAL, r"\U00010000-\U0010FFFF").replace(r"\p{Zs}", _SPACES)
    pattern = pattern.replace(r"[\w- ]", r"[\w\- ]")
    return re.compile(r"(?s).*" if r"\p{" in pattern else pattern)
