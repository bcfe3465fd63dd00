"""Cursors of sensors: a text that somebody may have typed by hand or that another release wrote."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read_cursor(text: str | None, kind: type[T]) -> T | None:
    """The cursor as a value of ``kind``; None when there is none or it is anything else, which is as if there was none.

    A sensor that raised on its cursor would never write a better one.
    """
    if not text or text.encode("utf-8", "ignore").decode() != text:
        return None
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError:
        return None
