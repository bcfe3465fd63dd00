"""Errors in the wire format of the service asked, so that SDKs raise them at once instead of retrying."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

_PHRASES = {403: "403 Forbidden", 501: "501 Not Implemented", 503: "503 Service Unavailable"}


class NotSaved(Exception):
    """The disk does not take what a request would change. The message says what failed, where, and what to do."""


def error_response(
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    status: int,
    code: str,
    message: str,
    *,
    last: bool = False,
) -> Iterable[bytes]:
    """Answers with one AWS error in the protocol that the request used. With ``last`` the server waits for no body that
    is still to come, and ends the connection."""
    content_type, body = _encoded(environ, code, message)
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("x-amzn-errortype", code)]
    if last:
        headers.append(("Connection", "close"))
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        headers.append(("smithy-protocol", environ["HTTP_SMITHY_PROTOCOL"]))
    start_response(_PHRASES[status], headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _encoded(environ: dict[str, Any], code: str, message: str) -> tuple[str, bytes]:
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "application/cbor", b"\xa2" + b"".join(_cbor_text(t) for t in ("__type", code, "message", message))
    content_type = environ.get("CONTENT_TYPE", "")
    if "HTTP_X_AMZ_TARGET" in environ or "json" in content_type:
        return content_type or "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if "x-www-form-urlencoded" in content_type:
        error = f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>"
    elif not _is_s3(environ):
        return "application/json", json.dumps({"__type": code, "message": message}).encode()
    return "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>{error}'.encode()


def _is_s3(environ: dict[str, Any]) -> bool:
    scope = str(environ.get("HTTP_AUTHORIZATION", ""))
    return not scope or "/s3/aws4_request" in scope


def _cbor_text(text: str) -> bytes:
    """RFC 8949, major type 3 with a two-byte length."""
    encoded = text.encode()[:65535]
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded
