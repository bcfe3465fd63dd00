"""What a file is, by its first bytes. Its name decides nothing: senders rename files, and decrypt them by accident."""

import codecs
from collections.abc import Collection
from enum import StrEnum

HEAD = 64
"""Bytes that are enough for every question asked here, but not for white space before ASCII armour."""

_ARMOUR = b"-----BEGIN PGP MESSAGE-----"
_SIGNED_TEXT = b"-----BEGIN PGP SIGNED MESSAGE-----"


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    ZIP = "zip"


_COMPRESSIONS = {
    b"\x1f\x8b": Compression.GZIP,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
    b"PK\x03\x04": Compression.ZIP,
    b"PK\x05\x06": Compression.ZIP,
}

_UNSUPPORTED = {
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"%PDF-": "PDF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office document (.xls), or one with a password",
}

_KINDS = {b"PAR1": "Parquet", b"Obj\x01": "Avro"}
"""Formats of data by their first bytes."""
WORKBOOK = "an Excel workbook"


def compression_of(head: bytes) -> Compression:
    return next((kind for magic, kind in _COMPRESSIONS.items() if head.startswith(magic)), Compression.NONE)


def data_kind_of(head: bytes) -> str | None:
    """The name of a binary format of data that has a ``kind``."""
    return next((name for magic, name in _KINDS.items() if head.startswith(magic)), None)


def document_of(names: Collection[str]) -> str | None:
    """The document that a zip with members of these names is; None where it is an archive of files."""
    if {"mimetype", "content.xml"} <= set(names):
        return "an OpenDocument file"
    if "[Content_Types].xml" not in names:
        return None
    if "xl/workbook.bin" in names:
        return "a binary Excel workbook (.xlsb)"
    return WORKBOOK if any(name.startswith("xl/") for name in names) else "an Office document"


def unsupported_format(head: bytes) -> str | None:
    """The name of a container that nothing here reads."""
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "bzip2"
    return next((name for magic, name in _UNSUPPORTED.items() if head.startswith(magic)), None)


def is_openpgp_head(head: bytes) -> bool:
    """Whether a file that begins so is an OpenPGP message, binary or in ASCII armour (after white space or a byte order
    mark)."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return text.startswith((_ARMOUR, _SIGNED_TEXT)) or _starts_with_packet(head)


def _starts_with_packet(head: bytes) -> bool:
    """RFC 9580, section 4.2: a packet of a kind that a message may begin with, with a version or algorithm known to it.

    The second test is needed because text in Latin-1 or Shift JIS may begin with the same byte.
    """
    if len(head) < 2 or not head[0] & 0x80:
        return False
    if head[0] & 0x40:
        tag = head[0] & 0x3F
        length = 1 if head[1] < 192 or 224 <= head[1] < 255 else 2 if head[1] < 224 else 5
    else:
        tag = head[0] >> 2 & 0x0F
        length = (1, 2, 4, 0)[head[0] & 0x03]
    first = head[1 + length : 2 + length]
    expected = {
        1: b"\x02\x03\x06",  # public-key encrypted session key: version
        2: b"\x03\x04\x05\x06",  # signature: version
        3: b"\x04\x05\x06",  # symmetric-key encrypted session key: version
        4: b"\x03\x06",  # one-pass signature: version
        8: b"\x00\x01\x02\x03",  # compressed data: algorithm
        18: b"\x01\x02",  # encrypted and integrity protected data: version
    }
    return bool(first) and first in expected.get(tag, b"")
