"""Documents behind signed URLs, as S3 serves them: the URL alone opens them, and only for a time."""

import hashlib
import hmac
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import IO
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from isal import igzip
from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper

from adplatform.local.world.amazon import documents
from adplatform.local.world.amazon.calls import Call
from adplatform.local.world.amazon.world import SpReport, World

_KEY = b"the test server signs only for itself"
_STAMP = "%Y%m%dT%H%M%SZ"
_IN_MEMORY = 32 << 20


def signed(call: Call, path: str, seconds: int, minted: datetime, **more: str) -> str:
    """A URL of this server that opens ``path`` for ``seconds`` from ``minted`` on."""
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Date": minted.astimezone(UTC).strftime(_STAMP),
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
        **more,
    }
    return f"{call.request.host_url.rstrip('/')}{path}?{urlencode(query)}&X-Amz-Signature={_signature(path, query)}"


def _signature(path: str, query: dict[str, str]) -> str:
    return hmac.new(_KEY, f"{path}?{urlencode(sorted(query.items()))}".encode(), hashlib.sha256).hexdigest()


def download(call: Call) -> Response:
    """``GET /download/...``."""
    query = call.request.args.to_dict()
    given = query.pop("X-Amz-Signature", "")
    if "Authorization" in call.request.headers:
        return refused(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
        )
    if any(name.lower().startswith("x-amz-") for name in call.request.headers.keys()):  # noqa: SIM118 - pairs otherwise
        return refused(403, "AccessDenied", "There were headers present in the request which were not signed")
    if not hmac.compare_digest(given.encode(), _signature(call.request.path, query).encode()):
        return refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    minted = datetime.strptime(query["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
    expires = minted + timedelta(seconds=int(query["X-Amz-Expires"]))
    if call.now >= expires or call.fault("expired_url"):
        return refused(403, "AccessDenied", "Request has expired")
    if call.fault("expired_session"):
        return refused(400, "ExpiredToken", "The provided token has expired.")
    _, _, store, *names = call.request.path.split("/")
    if store == "exports":
        export = call.world.ads_exports.get(names[0])
        return _made(call, documents.export_document(call.world, export) if export else None)
    if store == "ads":
        report = call.world.ads_reports.get(names[0])
        return _made(call, documents.ads_document(call.world, report) if report else None)
    return _selling_partner(call, names[0], names[1], query)


def _made(call: Call, body: bytes | None) -> Response:
    if body is None:
        return refused(404, "NoSuchKey", "The specified key does not exist.")
    if body.startswith(b"\x1f\x8b") and call.fault("not_gzip"):
        body = igzip.decompress(body)
    changed = call.fault(*_CHANGES)
    body = _CHANGES[changed.fault](body) if changed else body
    return _spooled(call, iter([body]), "application/octet-stream")


def _selling_partner(call: Call, region: str, number: str, query: Mapping[str, str]) -> Response:
    report = find(call.world, region, number)
    if report is None:
        return refused(404, "NoSuchKey", "The specified key does not exist.")
    document = documents.sp_document(call.world, report)
    stored = query.get("stored", "gzip" if document.zipped else "identity")
    zipped = stored == "gzip" and not call.fault("not_gzip")
    pieces = documents.zipped(document.pieces) if zipped else document.pieces
    changed = call.fault(*_CHANGES)
    if changed is not None:
        pieces = iter([_CHANGES[changed.fault](b"".join(pieces))])
    response = _spooled(call, pieces, document.content_type)
    if "content-encoding" in query and zipped:
        response.headers["Content-Encoding"] = "gzip"
    return response


def find(world: World, region: str, number: str) -> SpReport | None:
    """A report of the Selling Partner API, also one that nobody asked for."""
    report = world.sp_reports.get(number)
    if report is not None:
        return report if report.region == region else None
    own = (s for s in documents.known_settlements(world, region) if str(s.number) == number)
    return next((documents.settlement_report(s) for s in own), None)


def _corrupted(body: bytes) -> bytes:
    """The bytes with a wrong checksum in the gzip trailer."""
    return body[:-8] + bytes(byte ^ 0xFF for byte in body[-8:-4]) + body[-4:]


_CHANGES: Mapping[str, Callable[[bytes], bytes]] = {
    "corrupt_gzip": _corrupted,
    "cut": lambda body: body[: len(body) // 2],
    "error_text": lambda _: b"Sorry, something went wrong on our end.",
}
"""Faults that change a document."""


def _spooled(call: Call, pieces: Iterator[bytes], content_type: str) -> Response:
    """The pieces, or the range of them that is asked for, with their length; large documents wait on disk."""
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    for piece in pieces:
        file.write(piece)
    size = file.tell()
    file.seek(0)
    response = Response(FileWrapper(file, 1 << 20), 200, content_type=content_type, direct_passthrough=True)
    response.headers["Content-Length"] = str(size)
    return response.make_conditional(call.request, accept_ranges=True, complete_length=size)


def refused(status: int, code: str, message: str) -> Response:
    """An error as S3 words it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
        f"<RequestId>{secrets.token_hex(8).upper()}</RequestId></Error>"
    )
    return Response(body.encode(), status, content_type="application/xml")
