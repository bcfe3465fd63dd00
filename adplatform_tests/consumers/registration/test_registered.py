"""What is declared is made once, mended where somebody changed it, and never taken from others, whatever happens on the
way."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from adplatform.consumers.registration.registered import Clients, Declared, declared, planned, registered, undeclared
from adplatform.consumers.registration.resource import Place, Wanted, place_of
from adplatform.flow.services import Services
from adplatform.lake.table import table_spec
from adplatform.transform.compile import output_columns
from adplatform_tests.consumers.registration.test_declared import AGGREGATION, CONSUMERS
from adplatform_tests.consumers.tables import consumed_of, feed
from adplatform_tests.support.calls import CountedAws, WatchedAws
from adplatform_tests.support.matching import order_fault

SERVICES = frozenset({"cleanrooms", "entityresolution"})


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Registrations:
    """The table of a feed in the catalog of one test, and what consumers of it declare."""

    services: Services

    @property
    def clean_rooms(self) -> Any:
        return self.services.aws.client("cleanrooms")

    @property
    def entity_resolution(self) -> Any:
        return self.services.aws.client("entityresolution")

    @property
    def place(self) -> Place:
        return place_of(self.services.settings, self.services.account)

    def declared(self, consumers: Any = CONSUMERS) -> Declared:
        table = consumed_of(feed(consumers), self.services.settings.database_prefix)
        return declared([table], self.place, lambda _: True)

    def wanted(self, consumers: Any = CONSUMERS) -> tuple[Wanted, ...]:
        return self.declared(consumers).wanted

    def apply(self, consumers: Any = CONSUMERS, clients: Clients | None = None) -> list[str]:
        """Why something could not be made."""
        every = registered(clients or Clients(self.services.aws), self.wanted(consumers))
        return [each.failure for each in every if each.failure]

    def states(self, consumers: Any = CONSUMERS) -> list[str]:
        return [each.state for each in planned(Clients(self.services.aws), self.wanted(consumers))]

    def of(self, kind: str, consumers: Any = CONSUMERS) -> Wanted:
        return next(each for each in self.wanted(consumers) if each.kind == kind)

    def configured_tables(self) -> list[str]:
        """The ids of those that have our name."""
        pages, name = (
            self.clean_rooms.get_paginator("list_configured_tables").paginate(),
            self.of("configured table").name,
        )
        return [each["id"] for page in pages for each in page["configuredTableSummaries"] if each["name"] == name]


def with_table(services: Services) -> Registrations:
    contract, prefix = feed(CONSUMERS).contract, services.settings.database_prefix
    spec = table_spec("acme/members", contract, output_columns(contract), database_prefix=prefix)
    services.glue.create_database(DatabaseInput={"Name": spec.database})
    services.lake.catalog.ensure(spec, f"s3://{services.zones.clean_bucket}/acme/members/")
    return Registrations(services)


@pytest.fixture
def made(services: Services) -> Registrations:
    return with_table(services)


def test_what_is_declared_is_made_and_a_second_time_nothing_is_written(made: Registrations) -> None:
    assert made.states() == ["create"] * 3
    assert made.apply() == []
    aws = made.services.aws
    counted = CountedAws(aws.region, aws.endpoint_url)
    assert made.apply(clients=Clients(counted)) == []
    assert counted.names
    assert all(name.startswith(("Get", "List")) for name in counted.names), counted.names
    assert made.states() == ["as declared"] * 3


def test_a_change_by_hand_is_seen_and_mended(made: Registrations) -> None:
    made.apply()
    [table] = made.configured_tables()
    more = {
        "v1": {
            "aggregation": {
                **rule(made, table),
                "dimensionColumns": ["country", "orders"],
                "joinRequired": "QUERY_RUNNER",
            }
        }
    }
    made.clean_rooms.update_configured_table(
        configuredTableIdentifier=table,
        description="mine",
        allowedColumns=["country", "orders", "email_amazon_ads", "joined_at"],
    )
    made.clean_rooms.update_configured_table_analysis_rule(
        configuredTableIdentifier=table, analysisRuleType="AGGREGATION", analysisRulePolicy=more
    )
    workflow = made.of("matching workflow")
    rules = {"rules": [{"ruleName": "mine", "matchingKeys": ["place"]}], "attributeMatchingModel": "ONE_TO_ONE"}
    techniques = {"resolutionType": "RULE_MATCHING", "ruleBasedProperties": rules}
    changed = {**workflow.definition, "resolutionTechniques": techniques}
    made.entity_resolution.update_matching_workflow(workflowName=workflow.name, **changed)
    table_change, _, workflow_change = planned(Clients(made.services.aws), made.wanted())
    assert {each.field.rpartition(".")[2] for each in table_change.differences} == {
        "description",
        "allowedColumns",
        "dimensionColumns",
        "joinRequired",
    }
    assert {each.field.rpartition(".")[2] for each in workflow_change.differences} == {
        "rules",
        "attributeMatchingModel",
        "matchPurpose",
    }
    assert made.apply() == []
    assert made.states() == ["as declared"] * 3


def rule(made: Registrations, table: str) -> dict[str, Any]:
    found = made.clean_rooms.get_configured_table_analysis_rule(
        configuredTableIdentifier=table, analysisRuleType="AGGREGATION"
    )
    policy: dict[str, Any] = found["analysisRule"]["policy"]["v1"]["aggregation"]
    return policy


def test_killed_before_or_after_any_call_and_repeated_it_is_there_once(made: Registrations) -> None:
    aws = made.services.aws
    for moment in count():
        prefix = f"{made.services.settings.database_prefix}{moment}_"
        own = with_table(replace(made.services, settings=replace(made.services.settings, database_prefix=prefix)))
        left = iter(range(moment))
        watched = WatchedAws(aws.region, aws.endpoint_url, called=partial(_die, left), services=SERVICES)
        try:
            own.apply(clients=Clients(watched))
        except Killed:
            assert own.apply() == []
            assert own.states() == ["as declared"] * 3
            assert len(own.configured_tables()) == 1
        else:
            break
    assert moment >= 2 * 7, "each of the calls was its last once, before and after it was made"


def _die(left: Any) -> None:
    if next(left, None) is None:
        raise Killed


def test_what_a_call_made_whose_answer_was_lost_is_found(made: Registrations, aws_endpoint: str) -> None:
    for each in made.wanted():
        service = "cleanrooms" if each.consumer == "clean_rooms" else "entityresolution"
        order_fault(aws_endpoint, service, "answer_lost", each.name)
    assert made.apply() == []
    assert made.states() == ["as declared"] * 3
    assert len(made.configured_tables()) == 1


def test_what_others_made_under_the_name_is_not_touched(made: Registrations) -> None:
    table, mapping, _ = made.wanted()
    made.clean_rooms.create_configured_table(
        name=table.name,
        tableReference=table.definition["tableReference"],
        allowedColumns=["country"],
        analysisMethod="DIRECT_QUERY",
    )
    made.entity_resolution.create_schema_mapping(
        schemaName=mapping.name, mappedInputFields=list(mapping.definition["mappedInputFields"][:2])
    )
    table_failure, mapping_failure, workflow_failure = made.apply()
    assert f"a {table.key} was made by others, and is not touched" in table_failure
    assert f"a {mapping.key} was made by others" in mapping_failure
    assert workflow_failure == f"it requires the {mapping.key}, which is not as declared"
    assert len(made.configured_tables()) == 1
    assert len(made.entity_resolution.get_schema_mapping(schemaName=mapping.name)["mappedInputFields"]) == 2


def test_other_columns_are_another_mapping_to_which_the_workflow_is_led(made: Registrations) -> None:
    made.apply()
    matching = CONSUMERS["entity_resolution"]
    columns = {"email_lake": "EMAIL_ADDRESS", "country": "ADDRESS_COUNTRY"}
    other = {"entity_resolution": {**matching, "columns": columns, "rules": matching["rules"][:1]}}
    assert made.states(other) == ["create", "update"]
    assert made.apply(other) == []
    assert made.states(other) == ["as declared"] * 2
    left, failures = undeclared(Clients(made.services.aws), made.place, made.declared(other))
    assert not failures
    assert {(each.kind, each.name) for each in left} == {
        ("configured table", made.of("configured table").name),
        ("schema mapping", made.of("schema mapping").name),
    }


def test_what_a_refused_table_has_is_not_called_undeclared(made: Registrations) -> None:
    made.apply()
    unfit = {**CONSUMERS, "clean_rooms": {"columns": ["phone"]}}
    assert undeclared(Clients(made.services.aws), made.place, made.declared(unfit)) == ([], [])


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"kind": "list", "join": "email_amazon_ads", "outputs": "country"}, "analysisRule.type is AGGREGATION there"),
        (None, "analysisRule is (type: AGGREGATION"),
    ],
)
def test_a_rule_is_neither_deleted_nor_made_another_kind_of(made: Registrations, other: Any, says: str) -> None:
    made.apply()
    rooms = {**CONSUMERS["clean_rooms"], "rule": other}
    [failure] = made.apply({"clean_rooms": rooms})
    assert says in failure
    assert "delete the AGGREGATION rule in Clean Rooms, and apply again" in failure
    assert made.states() == ["as declared"] * 3


def test_columns_that_a_rule_names_come_before_it_and_go_after_it(made: Registrations) -> None:
    made.apply()
    other = {"dimensions": "joined_at", "aggregates": {"count_distinct": "email_amazon_ads"}}
    rooms = {"columns": ["email_amazon_ads", "joined_at"], "rule": {**AGGREGATION, **other}}
    assert made.apply({"clean_rooms": rooms}) == []
    assert made.states({"clean_rooms": rooms}) == ["as declared"]


def test_what_fails_keeps_nothing_else_from_being_made(made: Registrations, aws_endpoint: str) -> None:
    order_fault(aws_endpoint, "cleanrooms", "refused", made.of("configured table").name)
    [failure] = made.apply()
    assert "CreateConfiguredTable is not allowed" in failure
    assert made.states() == ["create", "as declared", "as declared"]
