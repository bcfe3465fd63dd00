"""Templates in a ``defs.yaml``, ``{{ env.NAME }}`` among them, resolved as by Dagster's own components without it.

Two things differ from there, so that nothing is other than what was meant: a variable of the environment that is not
set is a mistake, not the absence of a value, and a number or truth value stays the text that it was, which the setting
reads.
"""

import importlib
import importlib.util
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, model_validator

from adplatform.platform.late import Late

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nativetypes
else:
    jinja2 = Late("jinja2")
    nativetypes = Late("jinja2.nativetypes")

M = TypeVar("M", bound=BaseModel)
Place = tuple[int | str, ...]
_TEMPLATE = {"type": "string", "pattern": r"\{\{.*\}\}", "description": "A template such as {{ env.NAME }}."}
_MARK = "__dagster_template_var"
"""What ``dagster.template_var`` marks a function with."""
_USED = re.compile(r"\{\{\s*env(?:\.([^'\"\s(}|]+)|\(\s*['\"]([^'\"]+)['\"])")
_OF_THE_WHOLE = ("title", "description", "default", "deprecated", "examples")
_LEAST_WORD = 4


class UnresolvedError(Exception):
    """A template that has no value, and why."""


@dataclass(frozen=True)
class Unresolved:
    """Attributes with templates, as they are written."""

    attributes: Any


@dataclass
class Environment:
    """The variables of the environment as templates see them, and which of them were asked for."""

    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    asked: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str, default: Any = ...) -> Any:
        if name in self.variables:
            self.asked[name] = self.variables[name]
            return self.asked[name]
        if default is ...:
            raise UnresolvedError(
                f"the environment variable {name} is not set; set it, or give a default: "
                f"{{{{ env('{name}', 'value') }}}}"
            )
        return default

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("jinja", "_")):
            raise AttributeError(name)
        return self(name)

    def hidden(self, text: str) -> str:
        """The text with variables in the place of their values."""
        for name, value in sorted(self.asked.items(), key=lambda each: -len(each[1])):
            text = text.replace(repr(value), f"{{{{ env.{name} }}}}") if value else text
            text = text.replace(value, f"{{{{ env.{name} }}}}") if len(value) >= _LEAST_WORD else text
        return text


def has_templates(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(has_templates(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(has_templates(each) for each in value)
    return isinstance(value, str) and "{{" in value


def used_variables(value: Any, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Variables of the environment by where templates name them, as ``dg check yaml`` finds them."""
    if isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for part, each in parts:
            yield from used_variables(each, (*path, part))
    elif isinstance(value, str):
        for found in _USED.finditer(value):
            yield path, found[1] or found[2]


def template_scope(environment: Environment, vars_module: str | None, file: Path) -> dict[str, Any]:
    """What templates may name. ``vars_module`` holds functions marked by ``dagster.template_var``; with a dot before
    its name it stands beside the file.

    Raises:
        UnresolvedError: there is no such module, or what it holds cannot be called here.
    """
    scope: dict[str, Any] = {
        "env": environment,
        "datetime": SimpleNamespace(datetime=datetime, timedelta=timedelta),
    }
    if vars_module is None:
        return scope
    functions = inspect.getmembers(_module(vars_module, file), lambda each: getattr(each, _MARK, False))
    if not functions:
        raise UnresolvedError(f"no function of the module {vars_module} is marked by @dg.template_var")
    for name, function in functions:
        if inspect.signature(function).parameters:
            raise UnresolvedError(f"{name} of the module {vars_module} must take nothing: Dagster is not always there")
        scope[name] = _called(function, name)
    return scope


def _module(name: str, file: Path) -> ModuleType:
    try:
        if not name.startswith("."):
            return importlib.import_module(name)
        place = file.parent.joinpath(*name[1:].split(".")).with_suffix(".py")
        spec = importlib.util.spec_from_file_location(f"{file.parent.name}{name}", place)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, FileNotFoundError) as e:
        raise UnresolvedError(f"the module {name} cannot be imported: {type(e).__name__}") from e
    return module


def _called(function: Callable[[], Any], name: str) -> Any:
    try:
        return function()
    except Exception as e:
        # What the project's own code says may hold a secret.
        raise UnresolvedError(f"{name} of the module of template variables raised {type(e).__name__}") from None


def resolve(value: Any, scope: Mapping[str, Any], path: Place = ()) -> tuple[Any, list[tuple[Place, str]]]:
    """The value with its templates resolved, and where that was not possible, with the reason."""
    if isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        found = {part: resolve(each, scope, (*path, part)) for part, each in parts}
        wrong = [each for _, mistakes in found.values() for each in mistakes]
        values = {part: each for part, (each, _) in found.items()}
        return (values if isinstance(value, Mapping) else list(values.values())), wrong
    if not has_templates(value):
        return value, []
    try:
        return _rendered(value, scope), []
    except UnresolvedError as e:
        return None, [(path, str(e))]


def _rendered(text: str, scope: Mapping[str, Any]) -> Any:
    try:
        strict = jinja2.StrictUndefined
        native = nativetypes.NativeEnvironment(undefined=strict).from_string(text).render(scope)
        if isinstance(native, jinja2.Undefined):
            # Says what is missing, by raising.
            return str(native)
        if isinstance(native, bool | int | float | complex):
            return jinja2.Environment(undefined=strict, autoescape=False).from_string(text).render(scope)
    except jinja2.TemplateError as e:
        raise UnresolvedError(f"the template cannot be read: {e.message}") from None
    except UnresolvedError:
        raise
    except Exception as e:
        raise UnresolvedError(f"the template raised {type(e).__name__}") from None
    return native


@cache
def templated(model: type[M]) -> type[M]:
    """The model as Dagster and editors see it: attributes with templates are :class:`Unresolved`, others the model, and
    the JSON Schema takes a template wherever a value stands."""

    class Templated(model):  # type: ignore[valid-type, misc]
        @model_validator(mode="wrap")
        @classmethod
        def _as_written(cls, value: Any, _: Callable[[Any], Any]) -> Any:
            return Unresolved(value) if has_templates(value) else model.model_validate(value)

        @classmethod
        def model_json_schema(cls, *args: Any, **settings: Any) -> dict[str, Any]:
            return with_templates(model.model_json_schema(*args, **settings))

    Templated.__name__ = Templated.__qualname__ = model.__name__
    Templated.__doc__ = model.__doc__
    return Templated


def with_templates(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object, of which any value may be a template."""
    changed = dict(schema)
    for place in ("properties", "patternProperties"):
        if place in schema:
            changed[place] = {name: _or_template(each) for name, each in schema[place].items()}
    for place in ("items", "additionalProperties"):
        if isinstance(schema.get(place), dict):
            changed[place] = _or_template(schema[place])
    if "prefixItems" in schema:
        changed["prefixItems"] = [_or_template(each) for each in schema["prefixItems"]]
    for place in ("anyOf", "oneOf", "allOf"):
        if place in schema:
            changed[place] = [with_templates(each) for each in schema[place]]
    if "$defs" in schema:
        changed["$defs"] = {name: with_templates(each) for name, each in schema["$defs"].items()}
    return changed


def _or_template(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    changed = with_templates(schema)
    outer = {name: changed[name] for name in _OF_THE_WHOLE if name in changed}
    inner = {name: said for name, said in changed.items() if name not in outer}
    if not inner or inner == {"type": "string"} or {"type": "string"} in inner.get("anyOf", ()):
        return changed
    if set(inner) == {"anyOf"}:
        return {**outer, "anyOf": [*inner["anyOf"], _TEMPLATE]}
    return {**outer, "anyOf": [inner, _TEMPLATE]}
