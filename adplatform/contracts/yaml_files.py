"""Reading ``defs.yaml`` files without Dagster, with the line of every mistake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar
from warnings import catch_warnings, simplefilter

import yaml
from pydantic import BaseModel, ValidationError

from adplatform.contracts.strict import RenamedSetting
from adplatform.contracts.templates import Environment, UnresolvedError, resolve, template_scope, used_variables
from adplatform.contracts.yaml_nodes import nodes_of, plain
from adplatform.failures import PermanentFailure, wrapped

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


FILE_NAMES = ("defs.yaml", "defs.yml", "component.yaml")
"""What Dagster calls a file of components, the first before the others."""
_OF_A_DOCUMENT = ("type", "attributes", "template_vars_module", "requirements", "post_processing")


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
    document: yaml.Node | None = field(default=None, repr=False, compare=False)

    def line_of(self, *path: int | str) -> int:
        """The line of the setting at ``path`` below the attributes, or of the last one on the way to it; a number
        counts the members of a list."""
        if self.document is None:
            return self.line
        place, _ = _deepest(self.document, ("attributes", *path))
        return int(place.start_mark.line) + 1


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
    for file in _files(root):
        found, wrong = read_file(file, models, kind_of)
        declared += found
        mistakes += wrong
    return declared, mistakes


def _files(root: Path) -> list[Path]:
    """The files that Dagster reads below a folder: one in each, of the first of these names that is there."""
    found: dict[Path, Path] = {}
    for name in FILE_NAMES:
        for file in root.rglob(name):
            found.setdefault(file.parent, file)
    return sorted(found.values())


def read_file(
    file: Path, models: Mapping[str, type[M]], kind_of: Callable[[str], str] = last_name
) -> tuple[list[Declared[M]], list[Mistake]]:
    """As :func:`read_declarations`, of one file."""
    declared: list[Declared[M]] = []
    mistakes: list[Mistake] = []
    documents = _documents(file)
    if isinstance(documents, Mistake):
        return [], [documents]
    for node in documents:
        found = _check(file, node, models, kind_of)
        if isinstance(found, Declared):
            declared.append(found)
        else:
            mistakes += found
    return declared, mistakes


def require_readable(root: Path) -> None:
    """See that other readers of the files below ``root`` need not fear them: PyYAML by itself takes any nesting, and
    aliases that multiply.

    Raises:
        PermanentFailure: a file is no YAML, or above the limits of :mod:`adplatform.contracts.yaml_nodes`.
    """
    for file in _files(root):
        found = _documents(file)
        if isinstance(found, Mistake):
            raise PermanentFailure(str(found))


def _documents(file: Path) -> list[yaml.Node] | Mistake:
    try:
        return nodes_of(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as e:
        return _not_yaml(file, e)
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        return Mistake(file, 1, "document", f"not text in UTF-8: {e}".replace("\n", " "))


def _check(
    file: Path, node: yaml.Node, models: Mapping[str, type[M]], kind_of: Callable[[str], str]
) -> Declared[M] | list[Mistake]:
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return []
    twice = [Mistake(file, key.start_mark.line + 1, str(key.value), "is given twice") for key in _repeated(node)]
    if twice:
        return twice
    bare = [Mistake(file, line, "template", 'must stand in quotes: "{{ ... }}"') for line in _bare_templates(node)]
    if bare:
        return bare
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
            Mistake(file, node.start_mark.line + 1, "type", f"no component {component!r}; there are {wrapped(models)}")
        ]
    if model is None:
        return []
    unknown = [
        Mistake(file, key.start_mark.line + 1, str(key.value), "unknown setting; those of a source are attributes")
        for key, _ in node.value
        if key.value not in _OF_A_DOCUMENT
    ]
    if unknown:
        return unknown
    environment = Environment()
    attributes, unresolved = _resolved(file, node, document, environment)
    if unresolved:
        return unresolved
    try:
        with catch_warnings(record=True) as found:
            simplefilter("always", RenamedSetting)
            checked = model.model_validate(attributes)
        renamed = tuple(str(each.message) for each in found if isinstance(each.message, RenamedSetting))
        return Declared(file, node.start_mark.line + 1, checked, kind, renamed, dict(_texts(node)), node)
    except ValidationError as e:
        wrong = [_mistake(file, node, error) for error in e.errors(include_url=False)]
        return [replace(each, reason=environment.hidden(each.reason)) for each in wrong]


def _resolved(
    file: Path, node: yaml.Node, document: Mapping[str, Any], environment: Environment
) -> tuple[Any, list[Mistake]]:
    """The attributes without templates, or why that is not possible. Variables that ``requirements`` lists must be set,
    and where it lists any, those that are used must be among them."""

    def mistake(path: Sequence[int | str], reason: str) -> Mistake:
        place, readable = _deepest(node, path)
        return Mistake(file, place.start_mark.line + 1, ".".join(readable[readable[:1] == ["attributes"] :]), reason)

    attributes, requirements = document.get("attributes") or {}, document.get("requirements") or {}
    listed = requirements.get("env") if isinstance(requirements, dict) else None
    if listed is not None and not (isinstance(listed, list) and all(isinstance(each, str) for each in listed)):
        return None, [mistake(("requirements", "env"), "must be a list of names of environment variables")]
    wrong = [
        mistake(("requirements", "env", place), f"the environment variable {name} is not set")
        for place, name in enumerate(listed or ())
        if name not in environment.variables
    ]
    if listed is not None:
        wrong += [
            mistake(("attributes", *path), f"the environment variable {name} is not listed in requirements.env")
            for path, name in used_variables(attributes)
            if name not in listed
        ]
    try:
        scope = template_scope(environment, document.get("template_vars_module"), file)
    except UnresolvedError as e:
        return None, [*wrong, mistake(("template_vars_module",), str(e))]
    values, unresolved = resolve(attributes, scope)
    return values, [*wrong, *(mistake(("attributes", *path), reason) for path, reason in unresolved)]


def _bare_templates(node: yaml.Node) -> Iterator[int]:
    """Lines of templates without quotes, which YAML takes for a mapping whose key is a mapping."""
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if isinstance(key, yaml.MappingNode):
                yield key.start_mark.line + 1
            yield from _bare_templates(child)
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _bare_templates(child)


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
