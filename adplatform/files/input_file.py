"""What preparing a raw object leaves for the transform."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class InputFile:
    """One prepared file on local disk: decrypted, uncompressed, text in UTF-8.

    ``origin`` is the raw object it came from, ``s3://bucket/key`` (with ``#member`` for a member of an archive).
    ``ordinal`` orders the files of a delivery by arrival: of two equal rows the one in the higher ordinal wins.
    """

    path: Path
    origin: str
    ordinal: int
