"""Text in any declared encoding to UTF-8 without a byte order mark, streaming."""

import codecs
from collections.abc import Iterable, Iterator

from adplatform.files.bad_file import BadFile, Reason

_MARK = "\ufeff"


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def decode(chunks: Iterable[bytes], encoding: str, origin: str) -> Iterator[str]:
    """Raises:
    BadFile: bytes that are not ``encoding``, with the offset of the first in the (uncompressed) content.
    """
    decoder = codecs.getincrementaldecoder("utf-8" if is_utf8(encoding) else encoding)("strict")
    fed = 0
    at_start = True
    for chunk in _and_end(chunks):
        fed += len(chunk)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as e:
            # The decoder puts bytes it kept from the last chunk before this one's.
            offset = fed - len(e.object) + e.start
            raise BadFile(
                origin, Reason.ENCODING, f"byte {offset} is not {encoding}; correct encoding, or ask for the file again"
            ) from e
        except UnicodeError as e:
            raise BadFile(origin, Reason.ENCODING, f"is not {encoding}: {e}; correct encoding") from e
        if text:
            yield text.removeprefix(_MARK) if at_start else text
            at_start = False


def _and_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from (chunk for chunk in chunks if chunk)
    yield b""


def to_utf8(chunks: Iterable[bytes], encoding: str, origin: str) -> Iterator[bytes]:
    """Raises:
    BadFile: as ``decode``.
    """
    return (text.encode() for text in decode(chunks, encoding, origin))
