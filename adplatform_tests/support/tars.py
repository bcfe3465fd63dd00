"""Tars as senders write them."""

import io
import tarfile
from collections.abc import Mapping


def tarred(members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, kind: bytes, size: int = 0, *, linkname: str = "") -> bytes:
    """The header of a member of any kind."""
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname = kind, size, linkname
    return header.tobuf(tarfile.GNU_FORMAT)


END = bytes(1024)
