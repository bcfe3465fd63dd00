"""The JSON Schema that editors use must accept what the model accepts, or people learn to ignore it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model

from adplatform.contracts.durations import Duration
from adplatform.contracts.source import FileSource
from adplatform.contracts.strict import Strict
from adplatform.patterns import DEFS, Models, read_defs

SCHEMA = Draft202012Validator(FileSource.model_json_schema())


def source(**feed: Any) -> dict[str, Any]:
    described = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": {"required": True}}, **feed}
    return {"source": "acme", "feeds": [described]}


@pytest.mark.parametrize(
    "feed",
    [
        {"columns": {"a": None, "b": "decimal(12,2)", "c": {"type": "int", "min": 0, "max": 1.5}}},
        {"columns": {"a": {"pii": "email"}, "b": {"pii": {"kind": "phone", "treatment": "lake", "country": "DE"}}}},
        {"columns": {"a": {"pii": {"kind": "email", "treatment": ["lake", "meta"]}}}},
        {"columns": {"a": {"source": "A", "pii": {"kind": "email", "profiles": ["lake", "meta"]}}}},
        {"key": "id", "latest_by": ["id"]},
        {"key": ["id"]},
        {"arrival": {"quiet_period": "90s", "max_wait": "1.5h", "deadline": None, "accept_late": "30d"}},
        {"fresh_within": None, "partition_by": None, "usual_volume": True},
        {"usual_volume": {"within": "30%", "weekdays": 4, "holidays": "DE", "closed": ["2026-12-24"]}},
        {"pgp": {"private_keys": ["k"], "signer_keys": ["s"]}},
        {"row_checks": [{"name": "positive", "expression": "id > 0"}], "bounds": {"min_rows": 1}},
    ],
)
def test_the_schema_accepts_the_short_and_the_long_spellings(feed: dict[str, Any]) -> None:
    FileSource.model_validate(source(**feed))
    assert [e.message for e in SCHEMA.iter_errors(source(**feed))] == []


@pytest.mark.parametrize(
    "feed",
    [
        {"columns": {"a": 5}},
        {"columns": {"a": {"requird": True}}},
        {"columns": {"a": {"name": "b"}}},
        {"columns": {"a": {"pii": "mail"}}},
        {"key": 5},
        {"arrival": {"quiet_period": 30}},
        {"arrival": {"complete_when": "soon"}},
        {"name": "Orders"},
        {"surprise": 1},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(feed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FileSource.model_validate(source(**feed))
    assert not SCHEMA.is_valid(source(**feed))


def test_shipped_definitions_are_valid_for_the_model_and_the_schema() -> None:
    declared, mistakes = read_defs(DEFS)
    assert [str(m) for m in mistakes] == []
    assert {type(entry.model) for entry in declared} == set(Models().values()), "one of each is shipped"
    for entry in declared:
        schema = Draft202012Validator(type(entry.model).model_json_schema())
        for document in yaml.load_all(entry.file.read_text(encoding="utf-8"), _JsonLoader):
            assert [e.message for e in schema.iter_errors(document["attributes"])] == []


@pytest.mark.parametrize("component", Models())
def test_every_setting_has_a_description(component: str) -> None:
    without = [
        f"{owner}.{name}"
        for owner, model in _schemas(Models()[component])
        for name, setting in model.get("properties", {}).items()
        if not setting.get("description")
    ]
    assert without == []


@pytest.mark.parametrize("component", Models())
def test_every_default_and_example_of_the_schema_is_taken_by_the_model(component: str) -> None:
    model = Models()[component]
    models = {each.__name__: each for each in _models(Strict)} | {"": model}
    for owner, described in _schemas(model):
        for name, setting in described.get("properties", {}).items():
            written = {field.alias or own: field for own, field in models[owner].model_fields.items()}
            field = written[models[owner].renamed.get(name, name)]
            taken: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            for example in _examples(setting):
                taken.validate_python(example)
            if "default" in setting:
                meant = field.get_default(call_default_factory=True)
                assert taken.validate_python(setting["default"]) == meant, f"{owner}.{name}"


def test_defaults_are_shown_as_people_write_them() -> None:
    arrival = FileSource.model_json_schema()["$defs"]["Arrival"]["properties"]
    assert (arrival["quiet_period"]["default"], arrival["accept_early"]["default"]) == ("5m", "2d")
    assert FileSource.model_json_schema()["$defs"]["Feed"]["properties"]["arrival"]["default"] == {}


@pytest.mark.parametrize(
    "written",
    [
        *("30s", "5m", "2h", "10d", "0s", "1.5h", "1.5 h", " 2d ", "05m", "2d\n"),
        *("", "30", "5 min", "-1h", "+1h", "PT5M", "P2D", "1h30m", "5M", ".5h", "1.h", "1e3s", "5m\n5m", "١h", "h"),
        *(30, 1.5, True, None, ["1h"], {"h": 1}),
    ],
)
def test_schema_and_parser_take_the_same_spellings_of_a_duration(written: Any) -> None:
    duration: TypeAdapter[timedelta | None] = TypeAdapter(Duration)
    try:
        taken = duration.validate_python(written) is not None
    except ValidationError:
        taken = False
    assert Draft202012Validator(duration.json_schema()).is_valid(written) == taken


def _schemas(model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = model.model_json_schema()
    return iter([("", schema), *schema["$defs"].items()])


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _examples(setting: dict[str, Any]) -> Iterator[Any]:
    yield from setting.get("examples", ())
    for each in setting.get("anyOf", ()):
        yield from _examples(each)


class _JsonLoader(yaml.SafeLoader):
    """Dates stay text, as an editor's schema sees them."""


_JsonLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


def test_texts_of_settings_are_read_when_a_schema_is_asked_for_and_not_with_each_command() -> None:
    class Inner(Strict):
        one: int = 1
        """What one is."""
        two: int = 2

    class Outer(Inner):
        two: int = 3
        """What two is,
        in two lines."""
        named: Annotated[int, Field(description="said otherwise")] = 4
        """not shown"""

    assert all(Outer.model_fields[name].description is None for name in ("one", "two"))
    shown = {name: said.get("description") for name, said in Outer.model_json_schema()["properties"].items()}
    assert shown == {"one": "What one is.", "two": "What two is,\nin two lines.", "named": "said otherwise"}
    made = create_model("Made", __base__=Outer, three=(int, 3))
    assert {**shown, "three": None} == {
        name: said.get("description") for name, said in made.model_json_schema()["properties"].items()
    }
