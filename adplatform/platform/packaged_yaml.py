"""YAML files of our own that are parts of packages."""

from importlib.resources.abc import Traversable
from typing import Any

import yaml

# With libyaml where PyYAML has it, which takes a tenth of the time and words what is wrong with a file less well.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def packaged_yaml(file: Traversable) -> Any:
    """The document of the file."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - both loaders are safe ones
