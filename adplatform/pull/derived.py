"""The tables of an account that are made of tables of its reports, one date of one scope at a time: the daily fact, and
histories. ``adplatform.pull.build`` makes them."""

from collections.abc import Iterable
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
    if flow.scope is None:
        return
    for each in tables:
        if each.takes(flow):
            ledger.derived.mark(each.table.table, day, flow.scope.value)
