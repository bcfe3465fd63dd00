"""Runs of an orchestrator that is not there."""

from dataclasses import dataclass, field

from adplatform.flow.settling import Ending


@dataclass
class Nobody:
    """Every run has ended, but those of ``living``."""

    living: set[str] = field(default_factory=set)

    def alive(self, run_id: str) -> bool:
        return run_id in self.living

    def spent(self, run_key: str) -> bool:
        return False

    def ending(self, run: str) -> Ending:
        return Ending.DIED
