"""The ledger as tables for analysts: which there are, their columns, and their rows by the ledger's own queries.

Every declared feed costs three queries, a report and a target of an engine one, however many rows each has; DynamoDB
sends them by pages of 1 MB. No column holds a value of the data, and no text the name of a file as its sender wrote it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic_core import to_json

from adplatform.contracts.types import parse_type
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.spark_work import spark_names
from adplatform.engines.watches import engine_names
from adplatform.failures import clipped, unnamed
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.publications import Publication
from adplatform.ledger.schemas import NotedChange
from adplatform.pull.pattern import PulledReports
from adplatform.transform.values import OutputColumn

Values = Mapping[str, Any]
"""A row, by column; a column that is not there is NULL."""
Rows = Mapping[str, Sequence[Values]]
"""Rows by table."""
AS_OF = OutputColumn(
    "as_of", parse_type("timestamp"), "When the table was written: the ledger as it was then, or later."
)
_MOST_TEXT = 1_000
"""Characters of a text; `adplatform ledger` prints the rest."""


@dataclass(frozen=True)
class LedgerTable:
    """A table and what the catalog says of it; ``columns`` without the last, ``AS_OF``."""

    name: str
    description: str
    columns: tuple[OutputColumn, ...]

    def row(self, row: object, **given: Any) -> Values:
        """The columns of a row of the ledger that has attributes with their names; ``given`` are those that are not,
        or are called otherwise."""
        names = (column.name for column in self.columns)
        return {name: _value(given[name] if name in given else getattr(row, name)) for name in names}


@dataclass(frozen=True)
class Reading:
    """What is read together: ``parts`` of what is declared, and the ``rows`` of one of them by table."""

    parts: Callable[[Services, Sequence[Pattern]], Sequence[str]]
    rows: Callable[[Services, str], Rows]


def _value(value: Any) -> Any:
    """As it is stored: nothing is NULL, never an empty text."""
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, str):
        return clipped(unnamed(value), _MOST_TEXT) or None
    if isinstance(value, Decimal):
        return float(value)
    return to_json(value, inf_nan_mode="strings").decode() if isinstance(value, Mapping) else value


def _columns(*declared: tuple[str, str, str]) -> tuple[OutputColumn, ...]:
    return tuple(OutputColumn(name, parse_type(kind), comment) for name, kind, comment in declared)


_FEED = (
    ("source", "string", "The source."),
    ("feed", "string", "The feed, which is called as its table is."),
    ("scope", "string", "The profile, marketplace or the like that is delivered apart; NULL where there is none."),
)
_DELIVERY = (*_FEED, ("day", "date", "The date of the delivery (UTC)."))

DELIVERIES = LedgerTable(
    "deliveries",
    "One row for each feed and date of which anything has arrived, as it stands.",
    _columns(
        *_DELIVERY,
        ("state", "string", "open, settled, running, transforming, published or failed."),
        ("version", "bigint", "The latest version that has settled, 0 for none."),
        ("published", "bigint", "The latest version that readers could see, 0 for none."),
        ("arrivals", "bigint", "Objects that have arrived, and reasons to make it again."),
        ("pending", "bigint", "Those of them that no version has yet."),
        ("attempt", "bigint", "The number of the attempt at its latest version."),
        ("launches", "bigint", "Runs that were asked for, of its latest version."),
        ("deaths", "bigint", "Of these, those that ended without a word."),
        ("settled_at", "timestamp", "When its latest version settled."),
        ("settled_because", "string", "Why it settled then."),
        ("changed_at", "timestamp", "When it was changed last."),
        ("waiting", "string", "What it lacked when it was looked at last."),
        ("waiting_until", "timestamp", "When time alone completes it."),
        ("not_before", "timestamp", "Until when it rests after a failure."),
        ("permanent", "boolean", "Whether it waits for somebody to act."),
        ("error", "string", "What has failed; file names are ***."),
    ),
)
PUBLICATIONS = LedgerTable(
    "publications",
    "One row for each version of a delivery, whatever became of it, with where its rows went: rows_in = clean + "
    "superseded + quarantined + left_out once it is published.",
    _columns(
        *_DELIVERY,
        ("version", "bigint", "1, 2, ... of the feed and date."),
        ("state", "string", "settled, running, transforming, published or failed."),
        ("settled_at", "timestamp", "When it settled."),
        ("settled_because", "string", "Why it settled then."),
        ("finished_at", "timestamp", "When readers could see it."),
        ("seconds", "double", "How long the run took that made it visible."),
        ("run_id", "string", "The run of Dagster or of a command that was at it last."),
        ("files", "bigint", "Objects that belong to it."),
        ("bytes", "bigint", "Of its files as they were received."),
        ("rows_in", "bigint", "Rows of its files."),
        ("clean", "bigint", "Rows in the table."),
        ("superseded", "bigint", "Rows that a newer one with the same key replaced."),
        ("quarantined", "bigint", "Rows that broke the contract."),
        ("left_out", "bigint", "Rows that the feed leaves out on purpose."),
        ("reasons", "string", "Rows by the most frequent reasons why they were quarantined, as JSON."),
        ("contract", "string", "The digest of the contract that its rows were made by."),
        ("key_id", "string", "The hashing key of its digests by name."),
        ("note", "string", "What a reader should know beside that."),
        ("error", "string", "What has failed; file names are ***."),
    ),
)
SCHEMA_CHANGES = LedgerTable(
    "schema_changes",
    "One row for each column of a feed's files that changed, when that was first seen, and for each version whose "
    "contract is another than that of the version published before.",
    _columns(
        *_DELIVERY,
        ("version", "bigint", "The version with which it changed."),
        ("changed_at", "timestamp", "When it was noted; of a contract, when readers could see its rows."),
        (
            "change",
            "string",
            "column_added (nobody declared it), column_lacking (files lack it), column_renamed, column_retyped (most "
            "values are not of its type any more), column_accepted (it is declared so by now), column_back (it is as "
            "declared again), contract.",
        ),
        ("column_name", "string", "The column, or its place where its name may be a value; NULL of a contract."),
        ("contract", "string", "The digest of the contract that the rows of the version were made by."),
        ("contract_before", "string", "That of the version published before; NULL of a column."),
        ("became", "string", "What files call a renamed column, or the type that its values are of."),
        ("first_file", "string", "The first file with it, as `adplatform ledger` takes it."),
        ("setting", "string", "The line of YAML that accepts it, where one does."),
        ("touched", "string", "What uses the column, as a JSON list."),
    ),
)
REPORTS = LedgerTable(
    "reports",
    "One row for each report that was asked of an API, whatever became of it.",
    _columns(
        ("source", "string", "The account."),
        ("report", "string", "What is asked for, as it is declared."),
        ("scope", "string", "The profile, marketplace or the like that it is about."),
        ("asked_on", "date", "The date on which it was asked for, in the time zone of the scope."),
        ("first_day", "date", "The first date that it is about."),
        ("last_day", "date", "The last one."),
        ("sequence", "bigint", "1, 2, ... of the same dates and date of asking."),
        ("report_type", "string", "What the API calls it."),
        ("report_id", "string", "The id that the API has given it."),
        ("state", "string", "intended, requested, ready, stored, landed, done, unpublished, empty or failed."),
        ("attempt", "bigint", "The number of the attempt at its present step."),
        ("polls", "bigint", "How many times it was asked whether it is ready."),
        ("overdue", "boolean", "Whether it took longer than it may."),
        ("intended_at", "timestamp", "When it was planned."),
        ("requested_at", "timestamp", "When the API had taken the order."),
        ("ready_at", "timestamp", "When the API said that it is ready."),
        ("stored_at", "timestamp", "When its document was in the raw zone."),
        ("landed_at", "timestamp", "When its dates were."),
        ("changed_at", "timestamp", "When it was changed last."),
        ("bytes", "bigint", "Of its document as it was received."),
        ("row_count", "bigint", "Rows of its document."),
        ("outside_rows", "bigint", "Rows of dates that it is not about."),
        ("permanent", "boolean", "Whether it waits for somebody to act."),
        ("doubt", "string", "Why somebody should look at what it brought."),
        ("error", "string", "What has failed."),
    ),
)
ENGINE_RUNS = LedgerTable(
    "engine_runs",
    "One row for each run of a managed engine (AppFlow, DataSync, Glue, ...), whoever started it. Those that brought "
    "nothing are forgotten after two weeks.",
    _columns(
        ("source", "string", "The source."),
        ("target", "string", "What runs: a flow, a task, a table, a crawl, ..."),
        ("run_id", "string", "The id that the engine has given it."),
        ("state", "string", "unseen, waiting, running, succeeded, partial, failed or cancelled."),
        ("said", "string", "The state in the word of the engine."),
        ("intent", "string", "Why it was wanted; NULL where nobody of the platform wanted it."),
        ("found_at", "timestamp", "When it was seen first."),
        ("started_at", "timestamp", "When it began."),
        ("ended_at", "timestamp", "When it ended."),
        ("landed_at", "timestamp", "When all that it wrote was with its deliveries."),
        ("window_start", "timestamp", "From when on it pulled what has changed, where it pulls windows."),
        ("window_end", "timestamp", "Until when."),
        ("records", "bigint", "What the engine says that it moved."),
        ("files", "bigint", "As above."),
        ("bytes", "bigint", "As above."),
        ("failed_records", "bigint", "What the engine says that it could not move."),
        ("objects", "bigint", "How many objects landed."),
        ("usage", "string", "What it is charged by, as JSON by name: dpu_hours, ..."),
        ("overdue", "boolean", "Whether it took longer than it may."),
        ("cancelled", "boolean", "Whether the engine stopped it for somebody."),
        ("error", "string", "What has failed."),
    ),
)
ACTIONS = LedgerTable(
    "actions",
    "One row for each command by which somebody acted: retry, settle, erase, keys rotate, ...",
    _columns(
        ("action_id", "string", "Its id."),
        ("command", "string", "The command, without what it was given."),
        ("source", "string", "The source; NULL where it was for all."),
        ("name", "string", "The feed, with its scope, or the target; NULL where it was for all of the source."),
        ("first_day", "date", "The first date that it was for, where it was for dates."),
        ("last_day", "date", "The last one."),
        ("actor", "string", "The ARN of the identity of IAM that called it; on a laptop the user and the machine."),
        ("release", "string", "The release of the platform that was called."),
        ("begun_at", "timestamp", "When it was called."),
        ("ended_at", "timestamp", "When it ended; NULL where it is under way, or its process was killed."),
        ("outcome", "string", "begun, done, failed, or stopped by who had called it."),
    ),
)


_NOT_KNOWN: Values = dict.fromkeys(("became", "first_file", "setting", "touched"))


def _of_change(noted: NotedChange) -> Values:
    touched = to_json(noted.touched).decode() if noted.touched else None
    return {
        "changed_at": noted.at,
        "column_name": noted.column,
        "contract_before": None,
        "first_file": noted.file,
        "touched": touched,
    }


def schema_changes(
    versions: Sequence[Publication], noted: Sequence[NotedChange] = ()
) -> Iterator[tuple[Publication, Values]]:
    """Versions of a feed that have another contract than what was published before, or other columns as far as changes
    of these were not ``noted`` yet, with what is another. The first published one changes nothing; versions of releases
    that noted no contract say nothing of it."""
    since = min((each.at for each in noted), default=None)
    shown = (each for each in versions if each.state is DeliveryState.PUBLISHED and each.finished_at is not None)
    before: Publication | None = None
    for now in sorted(shown, key=lambda each: (each.finished_at or each.settled_at, each.day, each.version)):
        if before is not None:
            found = [("contract", "")] if now.contract and before.contract and now.contract != before.contract else []
            columns = [
                *(("column_added", name) for name in now.evolved if name not in before.evolved),
                *(("column_lacking", name) for name in sorted(now.lacking) if name not in before.lacking),
                *(("column_back", name) for name in sorted(before.lacking) if name not in now.lacking and now.rows_in),
            ]
            values = {"contract_before": before.contract, "changed_at": now.finished_at}
            finished = now.finished_at or now.settled_at
            for change, column in [*(columns if since is None or finished < since else ()), *found]:
                yield now, {**values, "change": change, "column_name": column}
        before = now


def _feeds(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    """Feeds as their deliveries are named, and tables that are made of them."""
    found = [flow.name for pattern in patterns for flow in pattern.deliveries(services.ledger)]
    return list(dict.fromkeys([*found, *(flow.name for pattern in patterns for flow in pattern.source.derived)]))


def _of_feed(services: Services, name: str) -> Rows:
    source, feed, *scope = name.split("/", 2)
    where = {"source": source, "feed": feed, "scope": "".join(scope)}
    versions, noted = services.ledger.publications.of_feed(name), services.ledger.schemas.noted(name)
    return {
        DELIVERIES.name: [DELIVERIES.row(each, **where) for each in services.ledger.deliveries.of_feed(name)],
        PUBLICATIONS.name: [PUBLICATIONS.row(each, **where, files=each.objects) for each in versions],
        SCHEMA_CHANGES.name: [
            *(SCHEMA_CHANGES.row(of, **where, **_NOT_KNOWN, **each) for of, each in schema_changes(versions, noted)),
            *(SCHEMA_CHANGES.row(each, **where, **_of_change(each)) for each in noted),
        ],
    }


def _reports(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    """Each report for each of its scopes."""
    return [
        f"{account.source}/{definition.name}/{scope.id}"
        for account in (each.account for each in patterns if isinstance(each, PulledReports))
        for scope in services.ledger.scopes.of_source(account.source)
        for definition in account.definitions
    ]


def _of_report(services: Services, name: str) -> Rows:
    found = services.ledger.reports.of_feed(name)
    return {
        REPORTS.name: [
            REPORTS.row(each, report=each.name, first_day=each.start, last_day=each.end, row_count=each.rows)
            for each in found
        ]
    }


def _targets(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    """What engines run: of sources that they fill, and for tables of any source."""
    return list(
        dict.fromkeys(
            name
            for pattern in patterns
            for name in (
                *(f"{pattern.source.name}/{each}" for each in _own_targets(pattern)),
                *engine_names(pattern.source),
                *spark_names(services, pattern.source),
            )
        )
    )


def _own_targets(pattern: Pattern) -> tuple[str, ...]:
    return (*pattern.names_of_targets, *pattern.further_targets) if isinstance(pattern, EngineFiles) else ()


def _of_target(services: Services, name: str) -> Rows:
    found = services.ledger.engine_runs.runs(*name.split("/", 1))
    return {ENGINE_RUNS.name: [ENGINE_RUNS.row(each, failed_records=each.failed) for each in found]}


def _actions(services: Services, patterns: Sequence[Pattern]) -> list[str]:
    return [ACTIONS.name]


def _of_actions(services: Services, name: str) -> Rows:
    return {
        name: [
            ACTIONS.row(each, action_id=each.id, actor=each.by, source=of[0], name="/".join(of[1:]))
            for each, of in ((each, each.of.split("/")) for each in services.ledger.actions.every())
        ]
    }


TABLES = (DELIVERIES, PUBLICATIONS, REPORTS, ENGINE_RUNS, SCHEMA_CHANGES, ACTIONS)
READINGS = (
    Reading(_feeds, _of_feed),
    Reading(_reports, _of_report),
    Reading(_targets, _of_target),
    Reading(_actions, _of_actions),
)
