"""An entry more in a ``defs.yaml`` that people wrote: all that stands there stays as it is."""

from collections.abc import Callable

import yaml

from adplatform.contracts.yaml_nodes import nodes_of


def with_feed(text: str, line: int, entry: Callable[[str], str]) -> str | None:
    """The text with one entry more at the end of ``feeds`` of the document that begins in ``line``; ``entry`` gives it
    for an indent. None where the feeds are not written as a list of lines.

    Raises:
        yaml.YAMLError: not YAML.
    """
    document = next((node for node in nodes_of(text) if node.start_mark.line + 1 == line), None)
    feeds = _member(_member(document, "attributes"), "feeds")
    if not isinstance(feeds, yaml.SequenceNode) or feeds.flow_style or not feeds.value:
        return None
    lines = text.splitlines(keepends=True)
    at = _last_line(feeds.value[-1]) + 1
    before = "".join(lines[:at])
    before += "" if before.endswith("\n") else "\n"
    return before + entry(" " * feeds.start_mark.column) + "".join(lines[at:])


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((child for key, child in pairs if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """The last line that a value stands in, counted from 0; a block of text ends where the next line begins."""
    if not isinstance(node, yaml.CollectionNode) or not node.value or node.flow_style:
        mark = node.end_mark
        return mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)
