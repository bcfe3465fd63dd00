"""YAML as nodes that know their lines, and as plain values, within limits: a file of a few lines must not take minutes.

Whatever is wrong is a ``yaml.MarkedYAMLError``, so that it has a line.
"""

from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError
from yaml.scanner import ScannerError

DEEPEST = 50
"""Lists and mappings within each other."""
MOST_NODES = 100_000
"""Values of a document, each counted as often as an alias repeats it."""
_BAD_CHARACTER = "found character that cannot start any token"
_BAD_VALUES = (ValueError, KeyError, TypeError, OverflowError)


def nodes_of(text: str) -> list[yaml.Node]:
    """The root of each document.

    Raises:
        yaml.YAMLError: not YAML, or above the limits.
    """
    try:
        return list(yaml.compose_all(text, _Composer))
    except ScannerError as e:
        if e.problem == _BAD_CHARACTER and e.problem_mark is not None:
            e.problem = f"found character {text[e.problem_mark.index]!r} that cannot start any token"
        raise


def plain(node: yaml.Node) -> Any:
    """The value that a node stands for.

    Raises:
        yaml.MarkedYAMLError: a tag that is not known, or a value that is none of its kind.
    """
    loader = _Constructor("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Composer(Composer, yaml.CSafeLoader):
    """Nodes of what libyaml reads, which takes a tenth of the time of a reader in Python. Refuses what PyYAML takes at
    any size: nesting, of which its own calls are as deep; and anchors, which repeat what they stand for, or contain
    themselves."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[int, int] = {}

    def compose_document(self) -> yaml.Node | None:
        self._nodes = 0
        self._sizes.clear()
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()
        before = self._nodes
        if self._depth > DEEPEST:
            raise ComposerError(None, None, f"is nested more than {DEEPEST} deep", event.start_mark)
        repeats = isinstance(event, yaml.AliasEvent)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if repeats and id(node) not in self._sizes:
            raise ComposerError(None, None, f"*{event.anchor} stands within what it repeats", event.start_mark)
        self._nodes += self._sizes[id(node)] if repeats else 1
        if self._nodes > MOST_NODES:
            why = f"has more than {MOST_NODES:,} values" + (", with what aliases repeat" if self.anchors else "")
            raise ComposerError(None, None, why, event.start_mark)
        if not repeats:
            self._sizes[id(node)] = self._nodes - before
        return node


class _Constructor(yaml.SafeLoader):
    """Gives the line of an invalid value, which PyYAML passes on as a bare ValueError."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _BAD_VALUES as e:
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"is not a value of type {kind}: {e}", node.start_mark) from e

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as e:
            raise ConstructorError(None, None, f"{node.value} is not a date: {e}", node.start_mark) from e


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_timestamp)
