"""What the tools of the server answer, beside queries and reasons: contracts, freshness, restatement, quarantine.

No answer has values of rows but those of clean columns that a query asks for, and no name of a file as its sender
wrote it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from adplatform.amazon.definitions import ReportDefinition
from adplatform.contracts.durations import write_duration
from adplatform.described.tables import Table
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.source import FeedFlow
from adplatform.lake.quarantine import latest_entries
from adplatform.ledger.report import ENDED
from adplatform.mcp.known import Known
from adplatform.operations.board import look_over
from adplatform.pull.account import Account
from adplatform.pull.pattern import PulledReports
from adplatform.pull.watch import Watched, restatements

MOST_DATES = 60
"""Dates of a feed, the newest, whose quarantine is listed."""

Answer = Mapping[str, Any]


def tables(known: Known, source: str) -> Answer:
    """Of one source everything that is known of columns, of all only their names."""
    return {"tables": [_described(each) if source else _listed(each) for each in known.tables(source)]}


def _listed(table: Table) -> Answer:
    shown, personal = ([each.name for each in table.columns if bool(each.pii) is hidden] for hidden in (False, True))
    return {
        "table": f"{table.database}.{table.name}",
        "description": table.description,
        "columns": shown,
        **({"personal": personal} if personal else {}),
    }


def _described(table: Table) -> Answer:
    columns = [
        {
            "name": each.name,
            "type": each.type,
            **({"description": each.description} if each.description else {}),
            **({"personal": dict(each.pii)} if each.pii else {}),
            **({"required": True} if each.required else {}),
            **({"allowed": each.allowed} if each.allowed else {}),
        }
        for each in table.columns
    ]
    return {
        "table": f"{table.database}.{table.name}",
        "description": table.description,
        **({"feed": table.feed} if table.feed else {}),
        "columns": columns,
        "partitions": table.partitions,
        **({"key": table.unique} if table.unique else {}),
    }


def contract(known: Known, name: str) -> Answer:
    """What is declared of a feed, without what is as by default."""
    flow = _declared(known, name)
    declared = _spelled(flow.feed.model_dump(exclude_defaults=True, exclude={"pgp"}, warnings="none"))
    encrypted = {"encrypted": flow.feed.pgp is not None} if flow.sent else {}
    return {"feed": flow.table, "pattern": flow.pattern, **encrypted, "contract": declared}


def _spelled(settings: Any) -> Any:
    """Settings with lengths of time as people write them."""
    if isinstance(settings, Mapping):
        return {name: _spelled(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [_spelled(each) for each in settings]
    return write_duration(settings) if isinstance(settings, timedelta) else settings


def _declared(known: Known, name: str) -> FeedFlow:
    flows = {flow.table: flow for each in known.patterns for flow in (*each.source.feeds, *each.source.derived)}
    table = "/".join(name.split("/")[:2])
    if table not in flows:
        raise PermanentFailure(f"no feed {name!r}; there are {wrapped(flows)}")
    return flows[table]


def freshness(known: Known, source: str) -> Answer:
    """When tables were last published to, what waits, and what has failed."""
    board = look_over(known.services, known.of_source(source))
    return {
        "at": board.at,
        "tables": [
            {
                "table": each.table,
                "published_at": each.published_at,
                "newest_date": each.newest,
                "fresh_within_hours": each.fresh_within_seconds and each.fresh_within_seconds / 3600,
                "stale": each.stale,
                "rows_of_the_last_14_dates": each.counts.clean,
                "quarantined_share": each.counts.quarantined_share,
            }
            for each in board.tables
        ],
        "waiting": [{"delivery": each.name, "date": each.day, "next": each.next} for each in board.waiting],
        "troubles": board.troubles,
        "paused": board.paused,
    }


def restatement(known: Known, name: str, day: date | None) -> Answer:
    """How dates of an account's reports changed since they were first asked for: of ``source/table``, and of one date
    with what each report said of it.

    Raises:
        PermanentFailure: no account has such a table.
    """
    account, definition, table = _reported(known, name)
    scope = name.removeprefix(table).lstrip("/")
    feed = table.partition("/")[2]
    ledger = known.services.ledger
    watched = [each for each in restatements(ledger, account, definition, feed) if scope in ("", each.scope.id)]
    running = Counter(str(r.state) for r in ledger.reports.active(account.source) if r.state not in ENDED)
    last = max(definition.policy.deadlines)
    return {
        "table": table,
        "asked_for_again_at_ages": sorted(definition.policy.deadlines),
        "final_at_age": last,
        account.dimension + "s": [_watched(each, last, day) for each in watched],
        "reports_on_their_way": dict(running),
    }


def _reported(known: Known, name: str) -> tuple[Account, ReportDefinition, str]:
    tables = {
        f"{account.source}/{dataset.feed}": (account, definition)
        for account in (each.account for each in known.patterns if isinstance(each, PulledReports))
        for definition in account.definitions
        for dataset in definition.datasets
    }
    table = "/".join(name.split("/")[:2])
    if table not in tables:
        raise PermanentFailure(f"no table of reports {name!r}; there are {wrapped(tables)}")
    return *tables[table], table


def _watched(watched: Watched, last: int, day: date | None) -> Answer:
    newest = {each.day: each for each in watched.observations}
    changed = {each.day for each in watched.changes}
    summary = {
        "id": watched.scope.id,
        "newest_date": max(newest, default=None),
        "dates": len(newest),
        "dates_not_final": sum(each.age < last for each in newest.values()),
        "dates_that_changed": len(changed),
        "unusual": [str(each) for each in watched.findings[-10:]],
    }
    if day is None:
        return summary
    said = [
        {"asked_at": each.as_of, "age": each.age, "rows": each.rows, "totals": dict(each.totals)}
        for each in watched.observations
        if each.day == day
    ]
    return {**summary, "date": day, "reports_said": said, "final": bool(said) and newest[day].age >= last}


def quarantine(known: Known, name: str) -> Answer:
    """What the latest versions of a feed's dates left in quarantine: counts by reason, no values."""
    flows = [
        flow
        for pattern in known.patterns
        for flow in pattern.deliveries(known.services.ledger)
        if name in (flow.name, flow.table)
    ]
    if not flows:
        raise PermanentFailure(f"no deliveries of {name!r}; `tables` lists feeds")
    return {"feed": name, "dates": list(_quarantined(known, flows))}


def _quarantined(known: Known, flows: list[FeedFlow]) -> Iterator[Answer]:
    for flow in flows:
        for entry in latest_entries(known.services.ledger, flow.name)[-MOST_DATES:]:
            refused = Counter((str(each.outcome), each.reason) for each in entry.files)
            yield {
                "delivery": flow.name,
                "date": entry.day,
                "version": entry.version,
                "rows": entry.rows,
                "reasons": dict(entry.reasons),
                **({"more_reasons": more} if (more := entry.reason_count - len(entry.reasons)) > 0 else {}),
                "files": [{"outcome": o, "reason": reason, "count": n} for (o, reason), n in sorted(refused.items())],
            }
