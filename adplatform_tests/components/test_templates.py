"""Templates in a source's YAML mean the same to Dagster, to its checks, to editors and to every command."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
from dagster_dg_core.check import check_yaml
from dagster_dg_core.component import EnvRegistry
from dagster_dg_core.context import DgContext
from jsonschema import Draft202012Validator

from adplatform.cli.project import schema, validate
from adplatform.components import PartnerPush
from adplatform.contracts.source import FileSource
from adplatform.contracts.yaml_files import Declared
from adplatform.patterns import KINDS, Models, faultless_defs, read_defs

HEAD = """\
type: adplatform.components.PartnerPush
attributes:
  source: acme
  feeds:
    - name: orders
      start_date: 2026-01-01
      columns: {id: string, email: {pii: email}}
"""
ENVIRONMENT = {"KEY_NAME": "partners/key-7", "ACME_ROWS": "0012", "START": "2026-02-01", "LISTED": "['a', 'b']"}
SECRET = "hunter2-of-acme"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "SECRET_VALUE": SECRET}.items():
        monkeypatch.setenv(name, value)


def written(folder: Path, text: str, name: str = "defs.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def read(folder: Path) -> tuple[list[Declared[Any]], list[str]]:
    declared, mistakes = read_defs(folder)
    return declared, [str(each).removeprefix(f"{each.file}:") for each in mistakes]


def project(folder: Path, package: str) -> Path:
    """A project of Dagster; its definitions. Each test has a package of its own: Python keeps what it imported."""
    settings = f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{package}"\n'
    written(folder, settings, "pyproject.toml")
    for place in (folder / package, folder / package / "defs"):
        written(place, "", "__init__.py")
    return folder / package / "defs"


def loaded(folder: Path) -> PartnerPush:
    """The component as Dagster loads it from the project."""
    tree = dg.ComponentTree.for_project(folder)
    component = tree.load_component(Path("acme"))
    assert isinstance(component, PartnerPush)
    return component


TEMPLATES = (
    HEAD
    + """\
      landing: "in/{{ env.KEY_NAME }}/{date}/{file}"
      description: "{{ both(2) }}"
      start_date: "{{ env.START }}"
      bounds: {min_rows: "{{ env('ACME_ROWS') }}", max_rows: "{{ limit }}"}
      pgp: {private_keys: ["{{ env.KEY_NAME }}"], signer_keys: "{{ env.LISTED }}"}
template_vars_module: .variables
requirements: {env: [KEY_NAME, ACME_ROWS, START, LISTED]}
"""
).replace("      start_date: 2026-01-01\n", "")
VARIABLES = """\
import dagster as dg

@dg.template_var
def limit() -> int:
    return 500

@dg.template_var
def both():
    return lambda times: "both" * times
"""


def test_a_template_is_what_it_stands_for_to_commands_and_to_dagster(
    tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    defs = project(tmp_path, "ours_resolved")
    written(defs / "acme", TEMPLATES)
    written(defs / "acme", VARIABLES, "variables.py")
    [entry] = faultless_defs(defs)
    assert isinstance(entry.model, FileSource)
    [feed] = entry.model.feeds
    assert feed.landing == "in/partners/key-7/{date}/{file}"
    assert (feed.description, str(feed.start_date)) == ("bothboth", "2026-02-01")
    assert (feed.contract.bounds.min_rows, feed.contract.bounds.max_rows) == (12, 500)
    assert feed.pgp is not None
    assert (feed.pgp.private_keys, feed.pgp.signer_keys) == (("partners/key-7",), ("a", "b"))
    assert loaded(tmp_path).declared == entry.model


def test_a_default_is_taken_where_a_variable_is_not_set(tmp_path: Path) -> None:
    written(tmp_path, HEAD + "      description: \"{{ env('ADPLATFORM_TESTS_NONE', 'without') }}\"\n")
    [entry] = faultless_defs(tmp_path)
    assert entry.model.feeds[0].description == "without"


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        (
            '      description: "{{ env.NOT_THERE }}"\n',
            "8: feeds.orders.description: the environment variable NOT_THERE",
        ),
        ("      landing: \"{{ env('NOT_THERE') }}\"\n", "8: feeds.orders.landing: the environment variable NOT_THERE"),
        ("      description: {{ env.START }}\n", '8: template: must stand in quotes: "{{ ... }}"'),
        ('      description: "{{ nothing }}"\n', "8: feeds.orders.description: the template cannot be read: 'nothing'"),
        ('      description: "{{ 1 / 0 }}"\n', "8: feeds.orders.description: the template raised ZeroDivisionError"),
        ('      description: "{{ env. }}"\n', "8: feeds.orders.description: the template cannot be read: "),
        (
            '      description: "{{ env.START }}"\nrequirements: {env: [KEY_NAME]}\n',
            "8: feeds.orders.description: the environment variable START is not listed in requirements.env",
        ),
        (
            "requirements:\n  env:\n    - NOT_THERE\n",
            "10: requirements.env.0: the environment variable NOT_THERE is not",
        ),
        ("template_vars_module: .nowhere\n", "8: template_vars_module: the module .nowhere cannot be imported: "),
        ("requirement: {env: []}\n", "8: requirement: unknown setting"),
    ],
)
def test_a_template_without_a_value_is_a_mistake_with_file_line_and_variable(
    tmp_path: Path, environment: None, more: str, mistake: str
) -> None:
    written(tmp_path, HEAD + more)
    [found] = read(tmp_path)[1]
    assert found.startswith(mistake)


def test_dagster_refuses_a_missing_variable_with_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = written(project(tmp_path, "ours_missing") / "acme", HEAD + '      description: "{{ env.NOT_THERE }}"\n')
    with pytest.raises(Exception, match=r"Error while loading component acme") as refused:
        loaded(tmp_path)
    chain, said = refused.value, []
    while chain is not None:
        said.append(str(chain))
        chain = chain.__cause__ or chain.__context__  # type: ignore[assignment]
    assert any(f"{file}:8: feeds.orders.description: the environment variable NOT_THERE" in text for text in said)


@pytest.mark.parametrize(
    "setting",
    [
        'name: "{{ env.SECRET_VALUE }} no name"',
        'key: "{{ env.SECRET_VALUE }}"',
        'schema_policy: "{{ env.SECRET_VALUE }}"',
    ],
)
def test_what_a_variable_holds_is_in_no_mistake(tmp_path: Path, environment: None, setting: str) -> None:
    text = HEAD.replace("name: orders", setting) if setting.startswith("name") else HEAD + f"      {setting}\n"
    written(tmp_path, text)
    found = read(tmp_path)[1]
    assert found
    assert not [each for each in found if SECRET in each]


CASES = {
    "plain": (HEAD, True),
    "template_for_a_text": (HEAD + '      description: "{{ env.KEY_NAME }}"\n', True),
    "template_for_a_number": (HEAD + '      bounds: {min_rows: "{{ env.ACME_ROWS }}"}\n', True),
    "template_for_a_list": (HEAD + '      row_checks: "{{ [] }}"\n', True),
    "template_for_a_date": (HEAD.replace("2026-01-01", '"{{ env.START }}"'), True),
    "template_for_a_name": (HEAD.replace("source: acme", "source: \"{{ env('NAME_OF_IT', 'acme') }}\""), True),
    "template_for_settings": (HEAD + "      arrival: \"{{ {'quiet_period': '9m'} }}\"\n", True),
    "requirements": (HEAD + "requirements: {env: [START]}\n", True),
    "text_for_a_number": (HEAD + "      bounds: {min_rows: many}\n", False),
    "unknown_setting": (HEAD + "      colour: blue\n", False),
    "unknown_section": (HEAD + "attribute: {}\n", False),
    "bad_name": (HEAD.replace("source: acme", "source: Acme!"), False),
    "bad_requirements": (HEAD + "requirements: {env: START}\n", False),
    "no_feeds": ("type: adplatform.components.PartnerPush\nattributes: {source: acme}\n", False),
    "no_component": (HEAD.replace("PartnerPush", "PartnerPull"), False),
    "a_template_that_is_none": (HEAD + '      bounds: {min_rows: "{ env.ACME_ROWS }"}\n', False),
}
FEW = ["requirements", "template_for_a_number", "text_for_a_number", "unknown_section", "no_component"]


@pytest.mark.parametrize("names", [FEW, pytest.param(sorted(CASES), marks=pytest.mark.slow)], ids=["few", "all"])
def test_validate_and_the_check_of_dagster_agree_on_good_and_bad_files(
    tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    defs = project(tmp_path, "ours_agreed")
    cases = {name: CASES[name] for name in names}
    for name, (text, _) in cases.items():
        written(defs / name, text)
    context = DgContext.for_project_environment(tmp_path, {})
    registry = EnvRegistry.from_dg_context(context, extra_modules=["adplatform.components"])
    monkeypatch.setattr(EnvRegistry, "from_dg_context", lambda *_, **__: registry)  # which is read for all files alike
    found: dict[str, tuple[bool, bool]] = {}
    for name in cases:
        folder = defs / name
        try:
            validate(folder)
            valid = True
        except typer.Exit:
            valid = False
        found[name] = (valid, check_yaml(context, [folder], False))
    assert found == {name: (good, good) for name, (_, good) in cases.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_for_editors_takes_a_template_wherever_a_value_stands(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema(kind)
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document)
    for name in Models()[kind].model_fields:
        written_as = Models()[kind].model_fields[name].alias or name
        wrong = [e for e in validator.iter_errors({written_as: "{{ env.X }}"}) if list(e.path) == [written_as]]
        assert not wrong, written_as


def test_files_are_found_by_every_name_that_dagster_gives_them(tmp_path: Path) -> None:
    for folder, name in (("a", "defs.yaml"), ("b", "defs.yml"), ("c", "component.yaml")):
        written(tmp_path / folder, HEAD.replace("acme", folder), name)
    written(tmp_path / "a", HEAD.replace("acme", "unread"), "component.yaml")
    assert [entry.model.source for entry in faultless_defs(tmp_path)] == ["a", "b", "c"]
