"""Avro container files as exporters write them."""

import io
import json
from collections.abc import Iterable
from typing import Any

import fastavro

from adplatform.files.avro_blocks import Block, written_block, written_header

SYNC = b"0123456789abcdef"


def record(*fields: tuple[str, Any], name: str = "row") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}


def avro(schema: Any, rows: Iterable[Any], codec: str = "null") -> bytes:
    """A file with a block for every 20 rows. Codecs that the library has no package for are packed by the project's own
    code, whose output is held against the library elsewhere."""
    parsed, rows = fastavro.parse_schema(schema), list(rows)
    blocks = []
    for begin in range(0, len(rows), 20):
        buffer = io.BytesIO()
        for row in rows[begin : begin + 20]:
            fastavro.schemaless_writer(buffer, parsed, row)
        blocks.append(Block(len(rows[begin : begin + 20]), buffer.getvalue()))
    return by_hand(schema, blocks, codec)


def by_hand(schema: Any, blocks: Iterable[Block], codec: str = "null") -> bytes:
    metadata = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    return written_header(metadata, SYNC) + b"".join(written_block(block, codec, SYNC) for block in blocks)
