"""Bodies of uploads to S3, on the disk as they come: digested on the way, outside of the lock, and never in memory as a
whole."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from moto.s3.exceptions import S3ClientError

from adplatform.local.aws.bodies import Bodies, Body

_FROM = 64 << 10
"""Bytes of the smallest body; moto's own way is good enough for those below."""
_AT_ONCE = 1 << 20
_PLAIN = frozenset({"partNumber", "uploadId", "x-id"})


class _Digest(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: memoryview, /) -> None:
        self._sum = zlib.crc32(data, self._sum)

    def digest(self) -> bytes:
        return self._sum.to_bytes(4, "big")


_DIGESTS: Mapping[str, Callable[[], _Digest]] = {
    "CRC32": _Crc32,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}


class BadDigest(S3ClientError):
    """S3 API reference, error responses: what came is not what the client says."""

    def __init__(self, algorithm: str) -> None:
        super().__init__("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


class Received:
    """A body that has come, which belongs to nobody until somebody takes it. ``digests`` has the bytes of each by its
    algorithm, ``stated`` what the client says of them, in base64."""

    def __init__(self, body: Body, digests: Mapping[str, bytes], stated: Mapping[str, str]) -> None:
        self.body, self.digests, self._stated = body, digests, stated
        self.taken = False

    def require_stated(self) -> None:
        """
        Raises:
            BadDigest: it has not a checksum that its client says.
        """
        for name, said in self._stated.items():
            if base64.b64encode(self.digests[name]).decode() != said:
                raise BadDigest(name)

    def take(self) -> Body:
        self.taken = True
        return self.body


def is_received(request: Any) -> bool:
    """Whether the request uploads an object or a part in a body without frames that is worth it."""
    headers = request.headers
    algorithm = headers.get("x-amz-sdk-checksum-algorithm", "")
    return bool(
        request.method == "PUT"
        and (request.content_length or 0) >= _FROM
        and _PLAIN.issuperset(request.args)
        and "x-amz-copy-source" not in headers
        and not headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        and (not algorithm or f"x-amz-checksum-{algorithm}" in headers)
    )


def received(request: Any, bodies: Bodies) -> Received:
    """
    Raises:
        NotSaved: the disk does not take it.
    """
    stated = {name: said for name in _DIGESTS if (said := request.headers.get(f"x-amz-checksum-{name}"))}
    digests = {name: _DIGESTS[name]() for name in stated}
    body = bodies.write(_digested(_chunks(request.stream), digests))
    return Received(body, {name: digest.digest() for name, digest in digests.items()}, stated)


def _chunks(stream: Any) -> Iterator[memoryview]:
    """The same bytes of memory each time."""
    buffer = memoryview(bytearray(_AT_ONCE))
    while size := stream.readinto(buffer):
        yield buffer[:size]


def _digested(chunks: Iterator[memoryview], digests: Mapping[str, _Digest]) -> Iterator[memoryview]:
    for chunk in chunks:
        for digest in digests.values():
            digest.update(chunk)
        yield chunk
