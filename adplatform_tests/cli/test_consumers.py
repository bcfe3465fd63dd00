"""Consumers on a terminal: what is planned, made and compared, and with what status."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from adplatform.cli import consumers
from adplatform.cli.app import app
from adplatform.flow.services import Services
from adplatform.lake.table import table_spec
from adplatform.patterns import declared_patterns
from adplatform.transform.compile import output_columns
from adplatform_tests.consumers.registration.test_declared import CONSUMERS
from adplatform_tests.consumers.tables import MEMBERS, feed

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a source with two feeds; its status and lines. The table of one, members, is in the catalog."""
    members = {"name": "members", "start_date": "2026-01-01", "key": "member_id", "columns": MEMBERS}
    orders = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "bigint"}, "consumers": ["clean_rooms"]}
    attributes = {"source": "acme", "feeds": [{**members, "consumers": CONSUMERS}, orders]}
    defs = tmp_path / "defs" / "acme" / "defs.yaml"
    defs.parent.mkdir(parents=True)
    defs.write_text(yaml.safe_dump({"type": "adplatform.components.PartnerPush", "attributes": attributes}))
    monkeypatch.setattr(consumers, "declared_patterns", partial(declared_patterns, folder=tmp_path / "defs"))
    monkeypatch.setattr(consumers, "connect", lambda: services)
    contract = feed(CONSUMERS).contract
    prefix = services.settings.database_prefix
    spec = table_spec("acme/members", contract, output_columns(contract), database_prefix=prefix)
    services.glue.create_database(DatabaseInput={"Name": spec.database})
    services.lake.catalog.ensure(spec, "s3://clean/acme/members/")

    def ran(*arguments: str) -> tuple[int, list[str]]:
        result = CliRunner().invoke(app, ["consumers", *arguments])
        return result.exit_code, result.output.splitlines()

    return ran


def first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if not line.startswith(" ")]


def test_what_is_planned_is_made_and_then_as_declared(run: Run) -> None:
    members = ("--source", "acme", "--feed", "members")
    assert run("check", *members)[0] == 1
    status, lines = run("plan", *members)
    assert (status, first_words(lines)) == (0, ["create"] * 3)
    status, lines = run("apply", *members)
    assert (status, first_words(lines)) == (0, ["create"] * 3)
    status, lines = run("apply", *members)
    assert (status, {line.split("  ")[0] for line in lines}) == (0, {"as declared"})
    assert run("check", *members) == (0, ["services have what is declared (3)"])


def test_what_somebody_changed_is_shown_with_both_values_and_mended(run: Run, services: Services) -> None:
    members = ("--source", "acme", "--feed", "members")
    run("apply", *members)
    rooms, matching = services.aws.client("cleanrooms"), services.aws.client("entityresolution")
    name = f"adplatform-{services.settings.database_prefix}acme-members"
    every = rooms.get_paginator("list_configured_tables").paginate().search("configuredTableSummaries[]")
    [table] = [each["id"] for each in every if each["name"] == name]
    rooms.update_configured_table(configuredTableIdentifier=table, description="mine")
    rule = {"configuredTableIdentifier": table, "analysisRuleType": "AGGREGATION"}
    policy = rooms.get_configured_table_analysis_rule(**rule)["analysisRule"]["policy"]
    policy["v1"]["aggregation"]["allowedJoinOperators"] = ["AND", "OR"]
    rooms.update_configured_table_analysis_rule(**rule, analysisRulePolicy=policy)
    workflow = matching.get_matching_workflow(workflowName=name)
    given = {m: workflow[m] for m in ("inputSourceConfig", "outputSourceConfig", "resolutionTechniques", "roleArn")}
    matching.update_matching_workflow(workflowName=name, **given, description="mine")
    status, lines = run("check", *members)
    assert (status, first_words(lines)) == (1, ["update", "update"])
    assert any(line.strip().startswith("description is mine there, and Declared by ") for line in lines)
    assert any("allowedJoinOperators is AND, OR there, and AND is declared" in line for line in lines)
    status, lines = run("apply", *members)
    assert (status, first_words(lines)) == (0, ["update", "as", "update"])
    schema = workflow["inputSourceConfig"][0]["schemaName"]
    matching.delete_matching_workflow(workflowName=name)
    fields = matching.get_schema_mapping(schemaName=schema)["mappedInputFields"]
    matching.update_schema_mapping(schemaName=schema, mappedInputFields=fields, description="mine")
    status, lines = run("apply", *members)
    assert (status, first_words(lines)) == (0, ["as", "update", "create"])
    assert run("check", *members)[0] == 0


def test_a_table_without_a_publication_is_refused_and_holds_up_no_other(run: Run) -> None:
    status, lines = run("apply")
    assert status == 1
    assert first_words(lines) == ["create"] * 3 + ["refused"]
    assert "orders: it is not in the catalog yet" in lines[-1]


def test_a_source_without_consumers_is_said_with_those_that_there_are(run: Run) -> None:
    status, lines = run("plan", "--source", "shop")
    assert status == 1
    assert "no table of shop/* has consumers; there are acme/members, acme/orders" in " ".join(lines)


def test_what_the_deployment_registers_is_compared_and_not_made(
    run: Run, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = replace(services, settings=replace(services.settings, consumers="deployment"))
    monkeypatch.setattr(consumers, "connect", lambda: deployed)
    status, lines = run("apply", "--source", "acme", "--feed", "members")
    assert (status, first_words(lines)) == (0, ["deployed"] * 3)
    assert first_words(run("plan", "--source", "acme", "--feed", "members")[1]) == ["create"] * 3
