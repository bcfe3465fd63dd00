"""What came of trying again what had failed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Retried:
    """What was done, in a sentence, and whether that changed anything."""

    sentence: str
    changed: bool
