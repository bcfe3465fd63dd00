"""What Amazon says of a document that it makes, and how it is had: reports and exports say it in the same members."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adplatform.amazon.http import Address, AmazonHttp, plain_text
from adplatform.amazon.reports import Document
from adplatform.failures import TransientFailure


def size_of(made: Mapping[str, Any]) -> int | None:
    """In bytes; Amazon declares it as any number."""
    reported = str(made.get("fileSize")).removesuffix(".0")
    return int(reported) if reported.isdecimal() else None


def fetched(api: AmazonHttp, ask: Callable[[], Mapping[str, Any] | None], target: Path, what: str) -> Document:
    """Stream the document to ``target``. ``ask`` has Amazon say what it made, which mints a URL each time.

    Raises:
        TransientFailure: it cannot be had now, or its size is not the announced one.
    """

    def address() -> Address | None:
        made = ask() or {}
        url = plain_text(made, "url")
        return Address(url, size_of(made)) if url else None

    document = api.download(address, target, what)
    if document is None:
        raise TransientFailure(f"{what} has no document at present")
    return document
