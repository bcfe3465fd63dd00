"""Libraries that take long to import, loaded when something of them is first used."""

from importlib import import_module
from typing import Any


class Late:
    """Stands for the module of that name. Several threads may use it first."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
