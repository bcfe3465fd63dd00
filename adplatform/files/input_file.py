"""What preparing a raw object leaves for the transform."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class InputFile:
    """One prepared file on local disk: decrypted, uncompressed, text in UTF-8.

    ``origin`` names the raw object it came from without its name (:func:`adplatform.ledger.objects.file_id`), with
    ``#<place>`` for a member of an archive. The table and the quarantine keep it.
    ``ordinal`` orders the files of a delivery by arrival: of two equal rows the one in the higher ordinal wins.
    """

    path: Path
    origin: str
    ordinal: int
