"""YAML that other tools read."""

from collections.abc import Mapping
from typing import Any

import yaml

_WIDTH = 120


class _Indented(yaml.SafeDumper):
    """Writes lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_of(document: Mapping[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=_WIDTH)
