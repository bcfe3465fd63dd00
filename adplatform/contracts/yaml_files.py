"""Reading ``defs.yaml`` files without Dagster, with the line of every mistake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from warnings import catch_warnings, simplefilter

import yaml
from pydantic import BaseModel, ValidationError

from adplatform.contracts.model import RenamedSetting
from adplatform.contracts.yaml_nodes import nodes_of, plain

M = TypeVar("M", bound=BaseModel)
_LIST, _MAPPING = "must be a list, or a mapping where each has a name", "must be a mapping: {name: value}"
_REASONS = {
    "extra_forbidden": "unknown setting",
    "missing": "is missing",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "string_type": "must be a text; put it in quotes",
}


@dataclass(frozen=True)
class Mistake:
    """Something wrong in a YAML file. ``line`` counts from 1."""

    file: Path
    line: int
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: {self.reason}"


@dataclass(frozen=True)
class Declared(Generic[M]):
    """One document of a ``defs.yaml``, checked against the model of its component type, whose name is ``kind``.

    ``renamed`` says which settings are written with earlier names. ``texts`` has the line of each text in it, of
    several that are the same the first.
    """

    file: Path
    line: int
    model: M
    kind: str = ""
    renamed: tuple[str, ...] = ()
    texts: Mapping[str, int] = field(default_factory=dict, repr=False)


def last_name(component: str) -> str:
    """``PartnerPush`` of ``adplatform.components.PartnerPush``."""
    return component.rpartition(".")[2]


def read_declarations(
    root: Path, models: Mapping[str, type[M]], kind_of: Callable[[str], str] = last_name
) -> tuple[list[Declared[M]], list[Mistake]]:
    """Every document below ``root`` whose ``type`` is of a kind in ``models``, as ``kind_of`` says, and every mistake
    in them."""
    declared: list[Declared[M]] = []
    mistakes: list[Mistake] = []
    for file in sorted(root.rglob("defs.yaml")):
        try:
            documents = nodes_of(file.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as e:
            mistakes.append(_not_yaml(file, e))
            continue
        except (yaml.YAMLError, UnicodeDecodeError) as e:
            mistakes.append(Mistake(file, 1, "document", f"not text in UTF-8: {e}".replace("\n", " ")))
            continue
        for node in documents:
            found = _check(file, node, models, kind_of)
            if isinstance(found, Declared):
                declared.append(found)
            else:
                mistakes += found
    return declared, mistakes


def _check(
    file: Path, node: yaml.Node, models: Mapping[str, type[M]], kind_of: Callable[[str], str]
) -> Declared[M] | list[Mistake]:
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return []
    twice = [Mistake(file, key.start_mark.line + 1, str(key.value), "is given twice") for key in _repeated(node)]
    if twice:
        return twice
    try:
        document = plain(node)
    except yaml.MarkedYAMLError as e:
        return [_not_yaml(file, e)]
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        return [Mistake(file, node.start_mark.line + 1, "type", "is missing: say which component this is")]
    component: str = document["type"]
    kind = kind_of(component)
    model = models.get(kind)
    if model is None and component.startswith("adplatform."):
        return [
            Mistake(
                file, node.start_mark.line + 1, "type", f"no component {component!r}; there are {', '.join(models)}"
            )
        ]
    if model is None:
        return []
    try:
        with catch_warnings(record=True) as found:
            simplefilter("always", RenamedSetting)
            checked = model.model_validate(document.get("attributes") or {})
        renamed = tuple(str(each.message) for each in found if isinstance(each.message, RenamedSetting))
        return Declared(file, node.start_mark.line + 1, checked, kind, renamed, dict(_texts(node)))
    except ValidationError as e:
        return [_mistake(file, node, error) for error in e.errors(include_url=False)]


def _texts(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Each text in a document with its line, the last first."""
    if isinstance(node, yaml.ScalarNode):
        yield node.value, node.start_mark.line + 1
    for child in reversed(node.value) if isinstance(node, yaml.CollectionNode) else ():
        for each in reversed(child) if isinstance(child, tuple) else (child,):
            yield from _texts(each)


def _not_yaml(file: Path, error: yaml.MarkedYAMLError) -> Mistake:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return Mistake(file, line, "document", error.problem or "not YAML")


def _repeated(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that a mapping holds twice. YAML readers take the last without a word."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _repeated(child)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated(child)


def _mistake(file: Path, node: yaml.Node, error: Mapping[str, Any]) -> Mistake:
    path = tuple(p for p in error["loc"] if not _is_branch(p))
    deepest, readable = _deepest(node, ("attributes", *path))
    reason = _REASONS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    return Mistake(file, deepest.start_mark.line + 1, ".".join(readable[1:]) or "attributes", reason)


def _is_branch(part: int | str) -> bool:
    """pydantic names the branch of a union or a validator in the path; the file has no such member."""
    return isinstance(part, str) and ("[" in part or "(" in part)


def _deepest(node: yaml.Node, path: Sequence[int | str]) -> tuple[yaml.Node, list[str]]:
    """Where ``path`` leads to, or the last place on the way; a number also counts the members of a mapping."""
    place, readable = node, list[str]()
    for part in path:
        step = _step(node, part)
        if step is None:
            return place, [*readable, str(part)]
        place, node, name = step
        readable.append(name)
    return place, readable


def _step(node: yaml.Node, part: int | str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """Where the part begins (a member at its key), its value, and what to call it."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child, child, _label(child) or str(part)
    if isinstance(node, yaml.MappingNode):
        for place, (key, child) in enumerate(node.value):
            if part in (place, str(key.value)):
                return key, child, str(key.value)
    return None


def _label(node: yaml.Node) -> str:
    """A list entry is better known by its name than by its number."""
    if not isinstance(node, yaml.MappingNode):
        return ""
    return next((str(child.value) for key, child in node.value if key.value == "name"), "")
