"""The tools of the server: what each takes, and what answers it."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adplatform.mcp import answers
from adplatform.mcp.known import Known
from adplatform.mcp.missing import why_missing
from adplatform.mcp.query import answer_query

_FEED = "As source/feed; of an account's reports source/table, or source/table/profile."


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OfSource(Arguments):
    source: str = Field(default="", description="A source; all where it is left out.")


class OfFeed(Arguments):
    feed: str = Field(description=_FEED)


class OfDate(OfFeed):
    date: datetime.date


class OfReports(OfFeed):
    date: datetime.date | None = Field(default=None, description="Shows what each report said of this date.")


class Sql(Arguments):
    sql: str = Field(description="One SELECT of DuckDB over tables named as database.table, as `tables` lists them.")
    rows: int | None = Field(default=None, ge=1, description="Rows at most; the server has a limit of its own.")


@dataclass(frozen=True)
class Tool:
    """``answer`` is given what it takes, checked, and an event that is set once nobody waits for it any more. It has
    texts of the ledger, unless it has ``rows``."""

    name: str
    description: str
    takes: type[Arguments]
    answer: Callable[[Known, Any, Event], Mapping[str, Any]]
    rows: bool = False


TOOLS = (
    Tool(
        "tables",
        "Clean tables and views. Without a source their columns by name; with one types, descriptions, keys and which "
        "columns hold personal data.",
        OfSource,
        lambda known, given, _: answers.tables(known, given.source),
    ),
    Tool(
        "contract",
        "What is declared of a feed: columns, types, keys, checks, when its files arrive. What is by default is left "
        "out.",
        OfFeed,
        lambda known, given, _: answers.contract(known, given.feed),
    ),
    Tool(
        "freshness",
        "When each table was last published to and whether it is stale; deliveries that wait, and what has failed or "
        "is overdue.",
        OfSource,
        lambda known, given, _: answers.freshness(known, given.source),
    ),
    Tool(
        "restatement",
        "How dates of an advertising account's reports changed since they were first asked for, which are not final "
        "yet, and unusual changes.",
        OfReports,
        lambda known, given, _: answers.restatement(known, given.feed, given.date),
    ),
    Tool(
        "query",
        "Run one SELECT over clean tables. Columns with personal data, digests as well, are not there. Rows and bytes "
        "of an answer are limited: aggregate rather than list.",
        Sql,
        lambda known, given, stop: answer_query(known, given.sql, given.rows, stop),
        rows=True,
    ),
    Tool(
        "why_missing",
        "Why a date of a feed is not there, or not whole: not due yet, waiting for which files, failed with what, "
        "rows in quarantine, paused, out of budget.",
        OfDate,
        lambda known, given, _: why_missing(known, given.feed, given.date),
    ),
    Tool(
        "quarantine",
        "Rows and files of a feed that broke its contract: counts by reason and date, without values.",
        OfFeed,
        lambda known, given, _: answers.quarantine(known, given.feed),
    ),
)
