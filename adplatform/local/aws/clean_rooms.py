"""Configured tables of AWS Clean Rooms and their analysis rules.

moto's tables may name what is not in the catalog, their columns cannot be changed, and it has no rules.
Not documented by AWS, and decided here: a column that the rule names is not taken from the allowed ones.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from moto.cleanrooms import models, urls
from moto.cleanrooms.responses import CleanRoomsResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model
from moto.glue.exceptions import EntityNotFoundException
from moto.glue.models import glue_backends

from adplatform.local.aws import modelled
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.modelled import ModelledResponse, Refusal

SERVICE = "cleanrooms"
_MEMBERS = ("name", "description", "tableReference", "allowedColumns", "analysisMethod", "selectedAnalysisMethods")
_PAGE = 100


class LocalConfiguredTable(models.ConfiguredTable):
    """``rule`` is an analysis rule as it is described, without what names the table."""

    rule: dict[str, Any] | None = None

    def described(self, names: Iterable[str]) -> dict[str, Any]:
        every = {
            **self.to_dict(),
            "tableType": "GLUE",
            "createTime": datetime.fromtimestamp(self.create_time, UTC),
            "updateTime": datetime.fromtimestamp(self.update_time, UTC),
            "analysisRuleTypes": [self.rule["type"]] if self.rule else [],
        }
        return {name: every[name] for name in names if name in every}


class LocalCleanRoomsResponse(ModelledResponse, CleanRoomsResponse):
    service = SERVICE
    subjects = ("name", "configuredTableIdentifier", "resourceArn")

    @property
    def about(self) -> str:
        """Tables go by their names."""
        found = self.backend.configured_tables.get(super().about)
        return found.name if found else super().about

    def create_configured_table(self) -> ActionResult:
        asked = self.asked
        self._check_table(asked["tableReference"], asked["allowedColumns"])
        table = self.backend.create_configured_table(
            **{_snake(name): asked.get(name) for name in _MEMBERS}, tags=asked.get("tags")
        )
        return self._told(table)

    def get_configured_table(self) -> ActionResult:
        return self._told(self._table())

    def list_configured_tables(self) -> ActionResult:
        members = get_service_model(SERVICE).shape_for("ConfiguredTableSummary").members
        listed = [table.described(members) for table in self.backend.configured_tables.values()]
        return ActionResult(self.page("configuredTableSummaries", listed, _PAGE))

    def update_configured_table(self) -> ActionResult:
        table, asked = self._table(), self.asked
        reference = asked.get("tableReference") or table.table_reference
        columns = asked.get("allowedColumns") or table.allowed_columns
        self._check_table(reference, columns)
        if table.rule is not None:
            _check_rule(table.rule["type"], table.rule["policy"], columns)
        for name in _MEMBERS:
            if asked.get(name) is not None:
                setattr(table, _snake(name), asked[name])
        table.update_time = CONTROL.now().timestamp()
        return self._told(table)

    def delete_configured_table(self) -> EmptyResult:
        del self.backend.configured_tables[self._table().id]
        return EmptyResult()

    def create_configured_table_analysis_rule(self) -> ActionResult:
        table, asked = self._table(), self.asked
        if table.rule is not None:
            raise Refusal("ConflictException", f"Configured table {table.id} has an analysis rule.")
        return self._ruled(table, asked["analysisRuleType"], asked["analysisRulePolicy"], CONTROL.now())

    def update_configured_table_analysis_rule(self) -> ActionResult:
        table, rule = self._ruled_table()
        return self._ruled(table, rule["type"], self.asked["analysisRulePolicy"], rule["createTime"])

    def get_configured_table_analysis_rule(self) -> ActionResult:
        return _told_rule(*self._ruled_table())

    def delete_configured_table_analysis_rule(self) -> EmptyResult:
        table, _ = self._ruled_table()
        table.rule = None
        return EmptyResult()

    def _ruled(self, table: LocalConfiguredTable, kind: str, policy: dict[str, Any], created: datetime) -> ActionResult:
        _check_rule(kind, policy, table.allowed_columns)
        table.rule = {"type": kind, "policy": policy, "createTime": created, "updateTime": CONTROL.now()}
        return _told_rule(table, table.rule)

    def _told(self, table: LocalConfiguredTable) -> ActionResult:
        members = get_service_model(SERVICE).shape_for("ConfiguredTable").members
        return ActionResult({"configuredTable": table.described(members)})

    def _table(self) -> LocalConfiguredTable:
        id = self.asked["configuredTableIdentifier"]
        found: LocalConfiguredTable | None = self.backend.configured_tables.get(id)
        if found is None:
            raise Refusal("ResourceNotFoundException", f"Configured table {id} does not exist.")
        return found

    def _ruled_table(self) -> tuple[LocalConfiguredTable, dict[str, Any]]:
        table, kind = self._table(), self.asked["analysisRuleType"]
        if table.rule is None or table.rule["type"] != kind:
            raise Refusal("ResourceNotFoundException", f"Configured table {table.id} has no rule {kind}.")
        return table, table.rule

    def _check_table(self, reference: dict[str, Any], columns: list[str]) -> None:
        """
        Raises:
            Refusal: the catalog has no such table, or that no such column.
        """
        if "glue" not in reference:
            raise NotImplementedError(f"configured tables of {', '.join(reference)}")
        database, name = reference["glue"]["databaseName"], reference["glue"]["tableName"]
        try:
            table = glue_backends[self.current_account][self.region].get_table(database, name).as_dict()
        except EntityNotFoundException as e:
            raise Refusal("ResourceNotFoundException", f"Glue table {database}.{name} does not exist.") from e
        there = {each["Name"] for each in (*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", ()))}
        _require(columns, there, f"not in the table {database}.{name}")


def _told_rule(table: LocalConfiguredTable, rule: dict[str, Any]) -> ActionResult:
    named = {"configuredTableId": table.id, "configuredTableArn": table.arn}
    return ActionResult({"analysisRule": {**named, **rule}})


def _check_rule(kind: str, policy: dict[str, Any], columns: Iterable[str]) -> None:
    """
    Raises:
        Refusal: Clean Rooms would not take the rule.
    """
    [(named, rule)] = policy["v1"].items()
    if named.upper() != kind:
        raise Refusal("ValidationException", f"The policy is of type {named.upper()}, and not {kind}.")
    if "ANY_QUERY" in rule.get("allowedAnalyses", ()) and not rule.get("allowedAnalysisProviders"):
        raise Refusal("ValidationException", "allowedAnalysisProviders is required when allowedAnalyses is ANY_QUERY.")
    _require(_named(rule), set(columns), "not among the allowed columns")


def _named(rule: dict[str, Any]) -> Iterator[str]:
    """The columns of a policy."""
    for name in ("joinColumns", "dimensionColumns", "listColumns", "disallowedOutputColumns"):
        yield from rule.get(name, ())
    yield from (column for each in rule.get("aggregateColumns", ()) for column in each["columnNames"])
    yield from (each["columnName"] for each in rule.get("outputConstraints", ()))


def _require(columns: Iterable[str], there: set[str], says: str) -> None:
    missing = sorted(set(columns) - there)
    if missing:
        raise Refusal("ValidationException", f"Columns {', '.join(missing)} are {says}.")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def install() -> None:
    models.ConfiguredTable = LocalConfiguredTable
    urls.url_paths.clear()
    urls.url_paths["{0}/.*$"] = LocalCleanRoomsResponse.dispatch
    CONTROL.known[SERVICE] = modelled.FAULTS
