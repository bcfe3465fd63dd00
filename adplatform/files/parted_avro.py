"""Taking records out of an Avro container file: those that are left are the bytes that they were."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adplatform.files.avro import parsed, records, shape_of
from adplatform.files.avro_blocks import Block, Header, read_blocks, read_header, written_block, written_header
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.budget import Budget
from adplatform.files.parted import Judge, Parted, texts_of

_OWN = "avro."
"""How the names of what the format itself notes begin."""


def part_avro(path: Path, target: Path, judge: Judge, budget: Budget) -> Parted:
    """As :func:`adplatform.files.records.part`.

    Raises:
        BadFile: damaged, above a limit, or its schema is judged to go, which every record needs.
    """
    origin = budget.origin

    def take(rows: int, size: int) -> None:
        budget.add_rows(rows)
        budget.take(size, target.parent)

    with path.open("rb") as file, target.open("wb") as out:
        header = read_header(file, origin)
        plain = parsed(shape_of(header, origin).plain, origin)
        metadata = _kept(header, judge, origin)
        taken, left = len(header.metadata) - len(metadata), 0
        out.write(written_header(metadata, header.sync))
        for block in read_blocks(file, header, origin, take):
            kept = [written for value, written in records(block, plain, origin) if not _is_judged(value, judge)]
            taken, left = taken + block.count - len(kept), left + len(kept)
            if kept:
                out.write(written_block(Block(len(kept), b"".join(kept)), header.codec, header.sync))
    return Parted(taken, left)


def _kept(header: Header, judge: Judge, origin: str) -> Mapping[str, bytes]:
    """What is noted of the file, without what is judged to go."""
    gone = {name for name, value in header.metadata.items() if judge(f"{name} {value.decode(errors='replace')}", {})}
    if any(name.startswith(_OWN) for name in gone):
        raise BadFile(origin, Reason.UNSUPPORTED, "has a schema that would have to go")
    return {name: value for name, value in header.metadata.items() if name not in gone}


def _is_judged(record: Any, judge: Judge) -> bool:
    texts = dict(texts_of(record, ""))
    return judge(json.dumps(list(texts.values()), ensure_ascii=False), texts)
