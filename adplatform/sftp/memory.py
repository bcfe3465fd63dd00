"""What is remembered of a server's files between two passes, as lines of JSON."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adplatform.sftp.choice import Known

_TIMES = ("modified", "since", "failed_at", "cleared_at")


@dataclass(frozen=True)
class Memory:
    """``known`` are the files of feeds, ``refused`` why others are not fetched; both by path."""

    known: Mapping[str, Known] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def write_memory(memory: Memory) -> bytes:
    """The same memory gives the same bytes."""
    return gzip.compress("".join(f"{json.dumps(line)}\n" for line in _lines(memory)).encode(), 6, mtime=0)


def read_memory(body: bytes) -> Memory:
    """
    Raises:
        ValueError: it is not what :func:`write_memory` writes.
    """
    try:
        return _read(gzip.decompress(body).decode())
    except (gzip.BadGzipFile, zlib.error, EOFError, KeyError, TypeError) as e:
        raise ValueError("not a memory") from e


def _read(text: str) -> Memory:
    known: dict[str, Known] = {}
    refused: dict[str, str] = {}
    for line in text.splitlines():
        said = json.loads(line)
        path = said.pop("path")
        if "refused" in said:
            refused[path] = said["refused"]
        else:
            times = {name: datetime.fromisoformat(said[name]) for name in _TIMES if said.get(name)}
            known[path] = Known(**{**said, **times})
    return Memory(known, refused)


def _lines(memory: Memory) -> Iterator[dict[str, Any]]:
    for path, each in memory.known.items():
        # Size, time and since are always there; of the others only what says something.
        said = {name: value for name, value in vars(each).items() if value not in ("", 0, None) or name in _KEPT}
        times = {name: said[name].isoformat() for name in _TIMES if said.get(name)}
        yield {"path": path, **said, **times}
    for path, why in memory.refused.items():
        yield {"path": path, "refused": why}


_KEPT = ("size", "modified", "since")
