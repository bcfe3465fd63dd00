"""A JSON object of DMS settings, read as DMS reads it: names in either spelling, flags and numbers also as text.

The API spells names in PascalCase, extra connection attributes in camelCase (DMS user guide, "Endpoint settings");
where case is all that differs, it is one setting. What is absent or null has DMS's default.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_FLAGS: Mapping[object, bool] = {
    **dict.fromkeys(("true", "y", "yes", "1"), True),
    **dict.fromkeys(("false", "n", "no", "0"), False),
}


@dataclass(frozen=True)
class Setting:
    """What DMS takes where a setting is absent: a flag, a number or a text; a text may be one of ``choices`` only."""

    default: bool | int | str
    choices: tuple[str, ...] = ()


Settings = Mapping[str, Setting]


@dataclass(frozen=True)
class Unreadable:
    """A value that DMS would not take, or not as somebody means it."""

    where: str
    reason: str


@dataclass(frozen=True)
class Section:
    """One object in a document (a file or an ARN). ``values`` holds by folded name where each value is and the value;
    ``known`` the settings that rules ask for, ``groups`` those of objects below."""

    document: str
    path: str
    values: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    known: Settings = field(default_factory=dict)
    groups: Mapping[str, Settings] = field(default_factory=dict)
    mistakes: tuple[Unreadable, ...] = ()

    def flag(self, name: str) -> bool:
        flag = as_flag(self._found(name))
        return bool(self.known[name].default) if flag is None else flag

    def number(self, name: str) -> int:
        number = as_number(self._found(name))
        return int(self.known[name].default) if number is None else number

    def text(self, name: str) -> str:
        """A text; one of a choice is spelled as the choice is."""
        setting = self.known[name]
        text = as_text(self._found(name))
        if text is None:
            return str(setting.default)
        return next((each for each in setting.choices if each.casefold() == text.strip().casefold()), text)

    def inner(self, name: str) -> "Section":
        """The object below; empty where there is none."""
        where, value = self.values.get(name.casefold(), (f"{self.path}.{name}", None))
        return section(self.document, where, value, self.groups[name])

    def has(self, name: str) -> bool:
        return self._found(name) is not None

    def where(self, name: str) -> str:
        """The place of a setting, for people; of one that is absent, where it belongs."""
        return f"{self.document}: {self.values.get(name.casefold(), (f'{self.path}.{name}', None))[0]}"

    def unreadable(self) -> Iterator[Unreadable]:
        """Every known setting whose value cannot be read, here and below."""
        yield from self.mistakes
        for name, known in self.known.items():
            found = self._found(name)
            if found is not None and (reason := _reason(found, known)):
                yield Unreadable(self.where(name), reason)
        for name in self.groups:
            yield from self.inner(name).unreadable()

    def _found(self, name: str) -> Any:
        return self.values.get(name.casefold(), ("", None))[1]


def section(
    document: str, path: str, found: object, known: Settings, groups: Mapping[str, Settings] | None = None
) -> Section:
    """A section of what a document has at ``path``: an object, or one as text, as the API passes them."""
    content = as_object(found)
    if content is None:
        mistakes = () if found is None else (Unreadable(f"{document}: {path}", "is no JSON object"),)
        return Section(document, path, {}, known, groups or {}, mistakes)
    values: dict[str, tuple[str, Any]] = {}
    twice = []
    for name, value in content.items():
        place = f"{path}.{name}"
        if name.casefold() in values and values[name.casefold()][1] != value:
            twice.append(Unreadable(f"{document}: {place}", "is given twice, with different values"))
        values[name.casefold()] = (place, value)
    return Section(document, path, values, known, groups or {}, tuple(twice))


def with_attributes(settings: Section, attributes: object) -> Section:
    """The settings of an endpoint together with its extra connection attributes (``name=value;...``). What both have
    is taken from the settings."""
    if not isinstance(attributes, str):
        return settings
    values, mistakes = dict(settings.values), list(settings.mistakes)
    for part in attributes.split(";"):
        name, given, text = part.strip().partition("=")
        folded = name.strip().casefold()
        if not given or not folded:
            continue
        place = f"$.ExtraConnectionAttributes ({name.strip()})"
        if folded in values and values[folded][1] is not None:
            if not _same(values[folded][1], text):
                reason = f"differs from {values[folded][0]}, which is taken for what DMS does"
                mistakes.append(Unreadable(f"{settings.document}: {place}", reason))
            continue
        values[folded] = (place, text)
    return replace(settings, values=values, mistakes=tuple(mistakes))


def as_object(found: object) -> dict[str, Any] | None:
    """A JSON object, also one that is written as text; None for anything else."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def as_flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return _FLAGS.get(str(value).strip().casefold())
    return None


def as_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, int):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else None


def as_text(value: object) -> str | None:
    """A text; a number as it is written."""
    if isinstance(value, str):
        return value
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else str(value)


def _reason(value: object, known: Setting) -> str:
    """Why DMS would not take the value; empty if it does."""
    if isinstance(known.default, bool):
        return "" if as_flag(value) is not None else "is neither true nor false"
    if isinstance(known.default, int):
        return "" if as_number(value) is not None else "is no whole number"
    text = as_text(value)
    if text is None:
        return "is no text"
    allowed = not known.choices or text.strip().casefold() in [each.casefold() for each in known.choices]
    return "" if allowed else f"is none of {', '.join(known.choices)}"


def _same(value: object, text: str) -> bool:
    """Whether an attribute's text means what the setting has."""
    if isinstance(value, bool):
        return as_flag(text) is value
    if isinstance(value, (int, float)):
        return as_number(text) == value
    return str(value).casefold() == text.casefold()
