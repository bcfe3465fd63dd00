"""What all settings in YAML have in common: what is not known is a mistake, and what each means is in the schema."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar
from warnings import warn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, model_validator

from adplatform.contracts.durations import write_duration


class RenamedSetting(FutureWarning):
    """A setting is still written with the name that it had before."""


def _as_written(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Show the settings as users may write them: with what they mean and their earlier names, durations with their
    unit, and of settings that belong together nothing where nothing is set."""
    for name, field in model.model_fields.items():
        shown = schema["properties"].get(field.alias or name)
        if shown is not None and "description" not in shown and (text := _text_below(model, name)):
            shown["description"] = text
        if isinstance(field.default, timedelta):
            schema["properties"][name]["default"] = write_duration(field.default)
        elif isinstance(field.default, BaseModel):
            schema["properties"][name]["default"] = _spelled(field.default)
    for old, new in getattr(model, "renamed", {}).items():
        named = {key: said for key, said in schema["properties"][new].items() if key != "default"}
        schema["properties"][old] = {
            **named,
            "title": old,
            "description": f"The earlier name of `{new}`.",
            "deprecated": True,
        }


def _text_below(model: type[BaseModel], name: str) -> str:
    """The text below a field where it was declared last. Pydantic's own ``use_attribute_docstrings`` reads the source
    of every model when it is imported, which took a sixth of the time of each command."""
    declaring = next((each for each in model.__mro__ if name in vars(each).get("__annotations__", {})), model)
    return _texts(declaring).get(name, "")


@cache
def _texts(model: type) -> Mapping[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):  # made by a program
        return {}
    [declaration] = ast.parse(source).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(getattr(declaration, "body", ()))
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _spelled(settings: BaseModel) -> dict[str, Any]:
    """What is set of settings that belong together, as users may write it."""
    lengths = {
        name: value for name in settings.model_fields_set if isinstance(value := getattr(settings, name), timedelta)
    }
    written = settings.model_dump(mode="json", exclude_unset=True, exclude=set(lengths))
    return {**written, **{name: write_duration(value) for name, value in lengths.items()}}


class Strict(BaseModel):
    """What users write: unknown settings are mistakes, values never change after the check.

    The text below a field is its description in the JSON Schema, which editors and Dagster's Components page show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_as_written)
    renamed: ClassVar[Mapping[str, str]] = {}
    """Earlier names of settings, which are taken for one version more, with what they are called now."""

    @model_validator(mode="before")
    @classmethod
    def _by_its_name(cls, value: Any) -> Any:
        found = [old for old in cls.renamed if isinstance(value, dict) and old in value]
        for old in found:
            new, of = cls.renamed[old], f"column {value['name']}: " if "name" in value else ""
            if new in value:
                raise ValueError(f"{old} is the earlier name of {new}: give {new} alone")
            warn(f"{of}the setting {old} is called {new} now; write {new}", RenamedSetting, stacklevel=2)
        return {cls.renamed.get(name, name): given for name, given in value.items()} if found else value


def one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | bool | int) else value


def by_name(value: Any) -> Any:
    """What may be written as a list of names, or as a mapping of each to its settings or nothing."""
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        for name in {name for name in value if value.count(name) > 1}:
            raise ValueError(f"{name} is listed twice")
        return {name: {} for name in value}
    if isinstance(value, Mapping):
        return {name: {} if settings is None else settings for name, settings in value.items()}
    return value


def kind_tag(value: Any) -> str:
    """The branch of a union that ``kind`` names; in brackets, since it is no member of what is written."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"({kind})"


SETTINGS, PLAIN = Tag("(settings)"), Tag("(plain)")
"""The branches of a union of settings and of what is none, so that what is wrong of one is said of that alone."""


def _form(value: Any) -> str:
    return SETTINGS.tag if isinstance(value, Mapping | BaseModel) else PLAIN.tag


BY_FORM = Discriminator(_form)
Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many, json_schema_input_type=str | list[str])]
