"""What a component's YAML declares: in Dagster exactly what every command reads in it."""

from pathlib import Path
from typing import TypeVar

import dagster as dg
from dagster.components.core.decl import YamlBackedComponentDecl
from pydantic import BaseModel

from adplatform.contracts.templates import Unresolved
from adplatform.contracts.yaml_files import read_file
from adplatform.patterns import kind_of

M = TypeVar("M", bound=BaseModel)


def declared(model: type[M], attributes: BaseModel | None, context: dg.ComponentLoadContext) -> M:
    """The attributes of a component with their templates resolved; where Dagster read them in a file, by the reader
    that the commands have.

    Raises:
        DagsterInvalidDefinitionError: a mistake, with file and line; no attributes.
    """
    found = context.component_decl
    if isinstance(found, YamlBackedComponentDecl) and found.source_tree and found.component_file_model:
        position = found.source_tree.source_position_tree.position
        kind = kind_of(found.component_file_model.type)
        read, mistakes = read_file(Path(position.filename), {kind: model}, kind_of)
        if mistakes:
            raise dg.DagsterInvalidDefinitionError("\n".join(str(mistake) for mistake in mistakes))
        for each in read:
            if each.line == position.start.line:
                return each.model
    if isinstance(attributes, Unresolved):
        raise dg.DagsterInvalidDefinitionError(f"{context.path}: attributes with templates must be in a YAML file")
    if not isinstance(attributes, model):
        raise dg.DagsterInvalidDefinitionError(f"{context.path}: a {model.__name__} needs attributes")
    return attributes
