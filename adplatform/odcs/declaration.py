"""What a contract declares, as the YAML of a source."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adplatform.contracts import written
from adplatform.odcs.declared import BY_PLATFORM
from adplatform.odcs.imported import Imported

_TEMPLATE = re.compile(r"\{(?=[{%#])")
_FIRST = ("name", "description", "start_date")


def attributes(found: Imported) -> dict[str, Any]:
    """The attributes of the component."""
    said = {
        "source": found.source,
        **({"owners": list(found.owners)} if found.owners else {}),
        **({"retention": dict(found.retention)} if found.retention else {}),
        "feeds": [{**feed, "columns": _sayable(feed["columns"])} for feed in found.feeds],
    }
    return {name: _literal(value) for name, value in said.items()}


def _literal(value: Any) -> Any:
    """Texts without what a declaration takes for the begin of a template."""
    match value:
        case str():
            return _TEMPLATE.sub("{ ", value)
        case Mapping():
            return {_literal(name): _literal(each) for name, each in value.items()}
        case list():
            return [_literal(each) for each in value]
        case _:
            return value


def _sayable(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {setting: value for setting, value in said.items() if setting not in BY_PLATFORM}
        for name, said in columns.items()
    }


def declaration(component: str, said: Mapping[str, Any], about: str, asks: Sequence[str]) -> str:
    """A ``defs.yaml``. What somebody has to decide stands above it, marked ``REVIEW``."""
    return "".join(f"{line}\n" for line in _lines(component, said, about, asks))


def _lines(component: str, said: Mapping[str, Any], about: str, asks: Sequence[str]) -> Iterator[str]:
    yield f"# imported from {about}"
    yield from (f"# REVIEW: {text}" for text in asks)
    yield f"type: adplatform.components.{component}"
    yield "attributes:"
    for name, value in said.items():
        if name != "feeds":
            yield f"  {name}: {written.flow(value)}"
    yield "  feeds:"
    for feed in said["feeds"]:
        yield from _feed(feed)


def _feed(feed: Mapping[str, Any]) -> Iterator[str]:
    for at, name in enumerate(each for each in _FIRST if each in feed):
        yield f"    {'  ' if at else '- '}{name}: {written.flow(feed[name])}"
    yield "      columns:"
    for name, said in feed["columns"].items():
        shortest = {setting: value for setting, value in said.items() if (setting, value) != ("type", "string")}
        yield f"        {written.text(name)}: {written.column(shortest)}"
    for name, value in feed.items():
        if name not in (*_FIRST, "columns"):
            yield f"      {written.text(name)}: {written.flow(value)}"
