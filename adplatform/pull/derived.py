"""The tables of an account that are made of tables of its reports, one date of one scope at a time: the daily fact, and
histories. ``adplatform.pull.build`` makes them."""

from collections.abc import Iterable, Sequence
from datetime import date

from adplatform.flow.source import FeedFlow
from adplatform.ledger.ledger import Ledger
from adplatform.pull.account import Account
from adplatform.pull.fact import Fact, fact_of
from adplatform.pull.history import History, histories_of

Derived = Fact | History


def derived_of(account: Account) -> tuple[Derived, ...]:
    """The tables that are made of the reports of an account.

    Raises:
        PermanentFailure: a report of the account has the name of one.
    """
    fact = fact_of(account)
    return (*([fact] if fact else []), *histories_of(account))


def mark(ledger: Ledger, tables: Iterable[Derived], flow: FeedFlow, day: date) -> None:
    """Say that a date of a table is about to change. To be called by the run that holds the delivery, before readers
    see it; tables that none of these takes are ignored."""
    mark_all(ledger, tables, [(flow, day)])


def mark_all(ledger: Ledger, tables: Iterable[Derived], dates: Sequence[tuple[FeedFlow, date]]) -> None:
    """:func:`mark` for several dates."""
    for each in tables:
        taken = [(day, flow.scope.value) for flow, day in dates if flow.scope is not None and each.takes(flow)]
        if taken:
            ledger.derived.mark_all(each.table.table, taken)
