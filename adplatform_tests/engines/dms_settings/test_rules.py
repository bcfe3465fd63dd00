"""Each rule finds what it is about, and nothing else does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.engines.dms_settings.check import RULES, check
from adplatform.engines.dms_settings.documents import (
    CHANGES,
    FULL_LOAD,
    RELOAD,
    RESUME,
    Bucket,
    Checked,
    Operation,
    OtherTask,
    Reload,
)
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.engines.dms_settings.recommended import table_mappings
from adplatform.engines.dms_settings.rule import UNCERTAIN, Severity
from adplatform.engines.dms_settings.sources import (
    MySqlSource,
    OracleSource,
    PostgresSource,
    Slot,
    SourceColumn,
    SourceTable,
    SqlServerSource,
)
from adplatform_tests.support.dms_settings import (
    passing,
    with_groups,
    with_mappings,
    with_rule,
    with_source_endpoint,
    with_target,
    with_task,
)

CSV: dict[str, Any] = {
    "DataFormat": "csv",
    "AddColumnName": True,
    "CsvNullValue": "<~null~>",
    "UseCsvNoSupValue": True,
    "CsvNoSupValue": "<~unknown~>",
}
ORDERS = SourceTable("shop", "orders", ("order_id",), (SourceColumn("order_id", "bigint"),))
NOTES = SourceColumn("notes", "text", lob=True, wide=True, longest=40_000)
LAST, LATER = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)


def source(found: Any) -> Checked:
    return replace(passing(), source=found)


def postgres(*tables: SourceTable, **facts: Any) -> Checked:
    return source(PostgresSource("shop", tables or (ORDERS,), **facts))


def mysql(**facts: Any) -> Checked:
    return replace(source(MySqlSource("shop", (ORDERS,), **facts)), endpoint=None)


def operation(migration: str = CHANGES, **facts: Any) -> Checked:
    return replace(passing(), migration=migration, operation=Operation(**facts))


def other(bucket: str = "lake", folder: str = "/landing/shop/", table: str = "orders") -> Checked:
    mappings = read_mappings("other", table_mappings([("shop", table)]))
    return replace(passing(), others=[OtherTask("other", bucket, folder, mappings)])


def sequence(number: int = 2, **data_type: Any) -> Checked:
    return with_mappings(lambda rules: rules[number].update({"data-type": data_type}))


def filtered(checked: Checked, column: str) -> Checked:
    rules = table_mappings([("shop", "orders")])
    rules["rules"][0]["filters"] = [{"filter-type": "source", "column-name": column}]
    return replace(checked, mappings=read_mappings("mappings.json", rules))


def ranges(*bounds: Sequence[Any], kind: str = "ranges") -> Checked:
    load = {"type": kind, "columns": ["order_id"], "boundaries": [list(bound) for bound in bounds]}
    located = {"schema-name": "shop", "table-name": "orders"}
    return with_rule(rule_type="table-settings", object_locator=located, parallel_load=load)


def column_rule(action: str, column: str, **more: Any) -> Checked:
    located = {"schema-name": "shop", "table-name": "orders", "column-name": column}
    return with_rule(
        rule_type="transformation", rule_target="column", rule_action=action, object_locator=located, **more
    )


def and_source(checked: Checked, *tables: SourceTable) -> Checked:
    return replace(checked, source=PostgresSource("shop", tables or (ORDERS,)))


CASES: dict[int, tuple[list[Checked], list[Checked]]] = {
    1: (
        [with_target(CdcInsertsOnly=True), with_target(CdcInsertsOnly="Y"), with_target(CdcInsertsOnly="true")],
        [replace(with_target(CdcInsertsOnly=True), migration=FULL_LOAD), with_target(CdcInsertsOnly=None)],
    ),
    2: ([with_target(CdcInsertsAndUpdates="y")], [with_target(CdcInsertsAndUpdates="n")]),
    3: (
        [with_target(IncludeOpForFullLoad=False), with_target(IncludeOpForFullLoad=None)],
        [replace(with_target(IncludeOpForFullLoad=False), migration=FULL_LOAD)],
    ),
    4: (
        [with_target(TimestampColumnName=None), with_target(TimestampColumnName=" ")],
        [with_target(TimestampColumnName="at")],
    ),
    5: (
        [
            with_mappings(lambda rules: rules.pop()),
            with_mappings(lambda rules: rules[3].update({"rule-action": "remove-column", "rule-target": "table"})),
            with_mappings(lambda rules: rules[3]["object-locator"].update({"table-name": "custom"})),
        ],
        [
            with_mappings(lambda rules: rules[3]["object-locator"].update({"table-name": "c%"})),
            with_mappings(lambda rules: rules[3]["object-locator"].update({"schema-name": "%", "table-name": "%"})),
            replace(with_mappings(lambda rules: rules.pop()), migration=FULL_LOAD),
        ],
    ),
    6: (
        [sequence(type="datetime"), sequence(type="string", length=34), sequence(type="string"), sequence()],
        [sequence(type="STRING", length="35"), sequence(type="wstring", length=64)],
    ),
    7: (
        [
            with_task("ChangeProcessingDdlHandlingPolicy", HandleSourceTableTruncated=True),
            with_task("ChangeProcessingDdlHandlingPolicy", HandleSourceTableDropped=None),
        ],
        [with_task("ChangeProcessingDdlHandlingPolicy", HandleSourceTableDropped="false")],
    ),
    8: (
        [with_task("ChangeProcessingDdlHandlingPolicy", HandleSourceTableAltered=False)],
        [with_task("ChangeProcessingDdlHandlingPolicy", HandleSourceTableAltered=None)],
    ),
    9: (
        [
            with_groups(
                {
                    "ErrorBehavior": {"FailOnTransactionConsistencyBreached": None},
                    "FullLoadSettings": {"TransactionConsistencyTimeout": "60"},
                }
            )
        ],
        [
            with_task("ErrorBehavior", FailOnTransactionConsistencyBreached=False),
            with_task("FullLoadSettings", TransactionConsistencyTimeout=1),
        ],
    ),
    10: (
        [with_task("FullLoadSettings", StopTaskCachedChangesNotApplied=True)],
        [
            with_task("FullLoadSettings", StopTaskCachedChangesApplied=True),
            replace(
                with_task("FullLoadSettings", StopTaskCachedChangesNotApplied=True), operation=Operation(start=RESUME)
            ),
        ],
    ),
    11: ([with_task("TargetMetadata", BatchApplyEnabled=True)], [with_task("TargetMetadata", BatchApplyEnabled=None)]),
    12: ([with_task("TargetMetadata", FullLobMode=True)], [with_task("TargetMetadata", FullLobMode="n")]),
    13: (
        [and_source(with_task("TargetMetadata", LobMaxSize=None), replace(ORDERS, columns=(NOTES,), identity="full"))],
        [
            and_source(with_task("TargetMetadata", LobMaxSize=40), replace(ORDERS, columns=(NOTES,), identity="full")),
            postgres(replace(ORDERS, columns=(replace(NOTES, longest=None),), identity="full")),
        ],
    ),
    14: (
        [
            with_task("TargetMetadata", SupportLobs=False),
            and_source(
                with_task("TargetMetadata", SupportLobs=False), replace(ORDERS, columns=(NOTES,), identity="full")
            ),
        ],
        [and_source(with_task("TargetMetadata", SupportLobs=False)), with_task("TargetMetadata", SupportLobs=None)],
    ),
    15: (
        [with_task("ErrorBehavior", DataErrorPolicy=v) for v in ("LOG_ERROR", "ignore_record", None)],
        [with_task("ErrorBehavior", DataErrorPolicy="STOP_TASK")],
    ),
    16: (
        [with_task("ErrorBehavior", DataTruncationErrorPolicy=v) for v in ("LOG_ERROR", "IGNORE_RECORD", None)],
        [with_task("ErrorBehavior", DataTruncationErrorPolicy="SUSPEND_TABLE")],
    ),
    17: (
        [
            with_task("ErrorBehavior", TableErrorPolicy="SUSPEND_TABLE"),
            with_task("ErrorBehavior", TableErrorPolicy=None),
        ],
        [replace(with_task("ErrorBehavior", TableErrorPolicy=None), operation=Operation(watched=True))],
    ),
    18: (
        [
            with_task("ErrorBehavior", EventErrorPolicy="IGNORE"),
            with_task("ErrorBehavior", ApplyErrorDeletePolicy=None),
            with_task("ErrorBehavior", ApplyErrorUpdatePolicy="IGNORE_RECORD"),
        ],
        [with_task("ErrorBehavior", ApplyErrorInsertPolicy=None, ApplyErrorUpdatePolicy="UPDATE_RECORD")],
    ),
    19: (
        [
            with_task("ErrorBehavior", FailOnNoTablesCaptured=False),
            with_task("ErrorBehavior", FailOnNoTablesCaptured=None),
        ],
        [with_task("ErrorBehavior", FailOnNoTablesCaptured="Y")],
    ),
    20: (
        [
            with_target(PreserveTransactions=True, CdcPath="changes"),
            with_target(**CSV, PreserveTransactions=True, CdcPath="changes"),
            with_target(PreserveTransactions=True, CdcPath="changes", DatePartitionEnabled=True),
        ],
        [with_target(DatePartitionEnabled=True, GlueCatalogGeneration=True)],
    ),
    22: ([with_target(**{**CSV, "AddColumnName": False})], [with_target(**CSV), with_target(AddColumnName=False)]),
    23: (
        [
            with_target(**{**CSV, "CsvNullValue": token})
            for token in (None, "", "NULL", "null", r"\N", "-", "Unknown value", 12345678)
        ],
        [with_target(**{**CSV, "CsvNullValue": "@@NULL@@"}), with_target(CsvNullValue="NULL")],
    ),
    24: ([with_target(**CSV, Rfc4180="n")], [with_target(**CSV), with_target(Rfc4180=False)]),
    25: (
        [
            with_target(**{**CSV, "UseCsvNoSupValue": None}),
            with_target(**{**CSV, "CsvNoSupValue": None}),
            with_target(**{**CSV, "CsvNoSupValue": CSV["CsvNullValue"]}),
        ],
        [with_target(UseCsvNoSupValue=False)],
    ),
    26: (
        [with_target(UseTaskStartTimeForFullLoadTimestamp=None)],
        [replace(with_target(UseTaskStartTimeForFullLoadTimestamp=False), migration=CHANGES)],
    ),
    27: (
        [with_target(ParquetTimestampInMillisecond="true")],
        [with_target(**CSV, ParquetTimestampInMillisecond=True)],
    ),
    28: (
        [with_target(DatePartitionEnabled=True, DatePartitionTimezone="Europe/Berlin")],
        [
            with_target(DatePartitionEnabled=True, DatePartitionTimezone="Etc/UTC"),
            with_target(DatePartitionTimezone="Europe/Berlin"),
        ],
    ),
    29: (
        [other(), other(table="%"), other(table="order_")],
        [other(folder="landing/other"), other(bucket="another"), other(table="returns")],
    ),
    30: (
        [replace(passing(), bucket=Bucket("lake", versioned=True, cleaned=False))],
        [
            replace(passing(), bucket=Bucket("lake", versioned=True, cleaned=True)),
            replace(passing(), bucket=Bucket("lake", versioned=False, cleaned=False)),
        ],
    ),
    31: (
        [with_target(MaxFileSize=1000), with_target(CdcMaxBatchInterval="10"), with_target(CdcMinFileSize=64)],
        [with_target(MaxFileSize=None, CdcMaxBatchInterval=None, CdcMinFileSize=None)],
    ),
    32: (
        [
            with_task("FullLoadSettings", TargetTablePrepMode=mode)
            for mode in ("DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD", None)
        ],
        [
            with_task("FullLoadSettings", TargetTablePrepMode="do_nothing"),
            replace(with_task("FullLoadSettings", TargetTablePrepMode=None), migration=CHANGES),
        ],
    ),
    33: (
        [filtered(passing(), "state"), filtered(passing(), "order_id"), filtered(postgres(), "state")],
        [filtered(postgres(), "order_id"), replace(filtered(passing(), "state"), migration=FULL_LOAD)],
    ),
    34: (
        [
            column_rule("rename", "order_id", value="id"),
            column_rule("convert-uppercase", "%"),
            and_source(column_rule("add-prefix", "order%", value="o_")),
            column_rule("remove-column", "order_id"),
        ],
        [and_source(column_rule("rename", "state", value="status")), column_rule("change-data-type", "order_id")],
    ),
    35: (
        [
            ranges([100], [90]),
            ranges([100], [100]),
            ranges(),
            ranges(["9"], ["10", "11"]),
            ranges(kind="partitions-list"),
        ],
        [ranges(["9"], ["10"]), ranges(["2026-01-01"], ["2026-02-01"]), ranges(kind="partitions-auto")],
    ),
    36: (
        [postgres(replace(ORDERS, key=())), postgres(replace(ORDERS, identity="nothing"))],
        [postgres(), postgres(replace(ORDERS, key=(), identity="full"))],
    ),
    37: (
        [postgres(replace(ORDERS, columns=(replace(NOTES, longest=None),)))],
        [postgres(replace(ORDERS, columns=(replace(NOTES, longest=None),), identity="full"))],
    ),
    38: (
        [postgres(replace(ORDERS, columns=(SourceColumn("amount", "numeric", unbounded=True),)))],
        [postgres(replace(ORDERS, columns=(SourceColumn("amount", "numeric(12,2)"),)))],
    ),
    39: (
        [
            with_source_endpoint(HeartbeatEnable=None),
            postgres(keeps_mb=-1),
            postgres(keeps_mb=100),
            postgres(slots=[Slot("dms", False, "lost", None)]),
            postgres(slots=[Slot("dms", True, "extended", 6 * 1024**3)]),
        ],
        [
            postgres(keeps_mb=None),
            postgres(keeps_mb=1024, slots=[Slot("dms", True, "reserved", 1024**2)]),
            replace(with_source_endpoint(HeartbeatEnable=False), migration=FULL_LOAD),
        ],
    ),
    40: ([with_source_endpoint(CaptureDdls="N")], [with_source_endpoint(CaptureDdls=None)]),
    41: (
        [
            mysql(binlog_format="STATEMENT"),
            mysql(row_image="MINIMAL"),
            mysql(retention_hours=1),
            mysql(log_bin=False),
            mysql(retention_hours=0, managed=True),
        ],
        [mysql(), mysql(binlog_format="row", row_image="full", retention_hours=24)],
    ),
    42: (
        [
            source(SqlServerSource("shop", (replace(ORDERS, captured=False),))),
            source(SqlServerSource("shop", (ORDERS,), captures=False)),
            source(SqlServerSource("shop", (), recovery_model="SIMPLE")),
        ],
        [source(SqlServerSource("shop", (ORDERS,)))],
    ),
    43: (
        [
            source(OracleSource("shop", (replace(ORDERS, logs_all=False, logs_key=False),))),
            source(OracleSource("shop", (replace(ORDERS, logs_all=False),))),
            source(OracleSource("shop", logs_minimal=False)),
            source(OracleSource("shop", archives=False)),
            source(OracleSource("shop", archive_hours=3)),
        ],
        [source(OracleSource("shop", (ORDERS,), archive_hours=48))],
    ),
    44: (
        [
            operation(position="2026-03-01T13:00:00", last_change=LAST),
            operation(position="0/392C5BF0"),
            operation(position="2026-03-01T11:00:00"),
        ],
        [
            operation(position="2026-03-01T11:00:00", last_change=LAST),
            operation(),
            operation("full-load-and-cdc", position="2026-03-01T13:00:00", last_change=LAST),
        ],
    ),
    45: (
        [
            operation(start=RELOAD),
            operation(start=RELOAD, generation=LAST, reloads=[Reload("shop.orders", LATER)]),
            operation(generation=LAST, reloads=[Reload("shop.orders", LATER)]),
        ],
        [
            operation(start=RELOAD, generation=LATER, reloads=[Reload("shop.orders", LAST)]),
            operation(generation=LATER, reloads=[Reload("shop.orders", LAST)]),
            operation(start="start-replication"),
        ],
    ),
    46: (
        [
            with_task("ControlTablesSettings", StatusTableEnabled=False),
            with_task("ControlTablesSettings", SuspendedTablesTableEnabled=None),
        ],
        [with_task("ControlTablesSettings", StatusTableEnabled="true")],
    ),
    47: ([with_task("Logging", EnableLogging=None)], [with_task("Logging", EnableLogging="y")]),
    48: (
        [with_task("ValidationSettings", EnableValidation=True)],
        [with_task("ValidationSettings", EnableValidation=None)],
    ),
    49: ([postgres(wal_level="replica")], [postgres(), replace(postgres(wal_level="replica"), migration=FULL_LOAD)]),
}
"""By number: settings in which exactly that rule finds something, and settings in which none does."""


def numbers(checked: Checked) -> set[int]:
    return {finding.number for finding in check(checked)}


@pytest.mark.parametrize(
    ("number", "checked"),
    [pytest.param(n, each, id=f"{n}-{at}") for n, (bad, _) in CASES.items() for at, each in enumerate(bad)],
)
def test_exactly_one_rule_finds_what_it_is_about(number: int, checked: Checked) -> None:
    assert numbers(checked) == {number}


@pytest.mark.parametrize(
    "checked",
    [pytest.param(each, id=f"{n}-{at}") for n, (_, good) in CASES.items() for at, each in enumerate(good)],
)
def test_settings_that_lose_nothing_are_not_complained_of(checked: Checked) -> None:
    assert numbers(checked) == set()


def test_transactions_without_a_path_are_refused_beside_what_csv_without_names_is_refused_for() -> None:
    csv = {**CSV, "AddColumnName": False, "PreserveTransactions": True}
    assert numbers(with_target(**csv, CdcPath="changes")) == {22}
    assert numbers(with_target(**csv)) == {21, 22}
    assert numbers(with_target(CdcPath="changes")) == set()


def test_every_row_has_a_case() -> None:
    assert {rule.number for rule in RULES} == {0, *range(1, 50)}
    assert {*CASES, 21} == set(range(1, 50))


def test_the_recommended_settings_pass() -> None:
    assert check(passing()) == []


def test_errors_come_first_and_each_says_where_what_and_what_to_set() -> None:
    checked = replace(
        with_target(CdcInsertsOnly="y", ParquetTimestampInMillisecond=True),
        task=with_task("Logging", EnableLogging=False).task,
    )
    found = check(checked)
    assert [(finding.number, finding.severity) for finding in found] == [
        (1, Severity.ERROR),
        (27, Severity.WARNING),
        (47, Severity.WARNING),
    ]
    assert found[0].where == "endpoint.json: $.S3Settings.CdcInsertsOnly"
    assert found[0].text == (
        "Updates and deletes of shop.orders, shop.customers will never arrive: only inserts are written."
    )
    assert found[0].paste == {"S3Settings": {"CdcInsertsOnly": False}}
    assert found[2].where == "settings.json: $.Logging.EnableLogging"


def test_what_is_documented_in_part_only_says_so() -> None:
    for number, (bad, _) in CASES.items():
        for finding in check(bad[0]):
            assert ("your DMS version" in finding.text) is (number in UNCERTAIN), number


@pytest.mark.parametrize("number", sorted(set(CASES) - {41, 42, 43, 44, 45, 49}))
def test_what_is_to_be_set_in_dms_comes_as_json(number: int) -> None:
    """But for rules about tables, folders and mappings, where people have to decide."""
    if number in (29, 33, 34, 36, 37, 38):
        return
    bad, _ = CASES[number]
    assert check(bad[0])[0].paste


def test_sentences_have_all_their_words() -> None:
    texts = [finding.text for bad, _ in CASES.values() for each in bad for finding in check(each)]
    assert not any("{" in text or "}" in text for text in texts)


@pytest.mark.parametrize("number", [n for n in CASES if n in range(1, 33) and n not in (5, 6, 9, 13, 18, 29, 30)])
def test_pasting_what_is_said_mends_it(number: int) -> None:
    bad, _ = CASES[number]
    for checked in bad:
        mended = checked
        for finding in check(checked):
            assert finding.paste is not None
            for group, settings in finding.paste.items():
                for name, value in settings.items():
                    mended = _pasted(mended, group, name, value)
        assert number not in numbers(mended)


def _pasted(checked: Checked, group: str, name: str, value: Any) -> Checked:
    if group == "S3Settings":
        values = {**checked.target.values, name.casefold(): (name, value)}
        return replace(checked, target=replace(checked.target, values=values))
    inner = checked.task.inner(group)
    there = {each: found for each, (_, found) in inner.values.items()} | {name.casefold(): value}
    values = {**checked.task.values, group.casefold(): (f"$.{group}", there)}
    return replace(checked, task=replace(checked.task, values=values))
