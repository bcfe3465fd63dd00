"""The command that says what Marketing Stream of an account needs, and where it stands."""

import json
import random
import urllib.request
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import product
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from adplatform.cli.context import connect, console
from adplatform.failures import PermanentFailure
from adplatform.patterns import declared_patterns, of_kind
from adplatform.platform.calls import NOBODY, acting
from adplatform.platform.extras import LOCAL, extra
from adplatform.pull.pattern import PulledReports
from adplatform.pull.stream.messages import provide_queue, waiting
from adplatform.pull.stream.setup import CONFIRMED, lacking, policy, subscriptions
from adplatform.pull.stream.tables import StreamTables

if TYPE_CHECKING:
    from adplatform.flow.services import Services


def stream(
    source: Annotated[str, typer.Argument(help="An Ads account with a stream.", show_default=False)],
    policy_: Annotated[bool, typer.Option("--policy", help="Print the policy that its queue needs.")] = False,
    requests: Annotated[
        bool, typer.Option("--subscriptions", help="Print the requests that subscribe its profiles, one a line.")
    ] = False,
    send: Annotated[
        int, typer.Option(help="Have the simulated Amazon send what it has of so many days.", min=0, max=60)
    ] = 0,
) -> None:
    """Say what Marketing Stream of an account still needs, and how many messages wait."""
    services = connect()
    found = _declared(services, source)
    if policy_:
        print(json.dumps(policy(services, found), indent=2))
    elif requests:
        for each in subscriptions(services, found):
            print(json.dumps(each))
    elif send:
        today = services.now().date()
        count = send_days(services, found, [today - timedelta(days=age) for age in range(send)])
        console.print(f"sent {count} messages; `adplatform process` takes them", highlight=False)
    else:
        _show(services, found)


def _declared(services: "Services", source: str) -> StreamTables:
    accounts = of_kind(declared_patterns(services.settings), PulledReports)
    streams = {each.source.name: each.stream for each in accounts if each.stream}
    if source not in streams:
        raise PermanentFailure(
            f"{source!r} is no Ads account with a stream; there are {', '.join(streams) or 'none'}. Declare one with "
            "stream: [sp-traffic]"
        )
    return streams[source]


def _show(services: "Services", found: StreamTables) -> None:
    missing = list(lacking(services, found))
    name, known = found.queue(services.settings), len(subscriptions(services, found))
    lines = [f"missing: {each}" for each in missing]
    if not missing:
        lines.append(
            f"queue {name} takes messages of {', '.join(found.declared.datasets)}; {_waiting(services, found)}"
        )
    if known:
        lines.append(f"{known} subscriptions are needed: --subscriptions prints their requests. {CONFIRMED}")
    else:
        lines.append("no profile is known yet: the first run that asks for reports learns of them")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _waiting(services: "Services", found: StreamTables) -> str:
    count = waiting(services, found)
    return "1 message waits" if count == 1 else f"{count} messages wait"


@acting(NOBODY)
def send_days(services: "Services", found: StreamTables, days: Iterable[date]) -> int:
    """Have messages of the simulated Amazon wait in the queue, in no order and some of them twice; how many.

    Raises:
        PermanentFailure: the account is not simulated.
    """
    account = found.account
    if not account.simulated:
        raise PermanentFailure(f"{account.source} is not simulated: Amazon sends by itself")
    with extra(LOCAL):
        from adplatform.local.world.amazon.stream import send  # noqa: PLC0415 - not everywhere
    from adplatform.resources.report_apis import simulated_amazon  # noqa: PLC0415 - brings both APIs

    amazon = simulated_amazon(services.settings)
    scopes = [each for each in services.ledger.scopes.of_source(account.source) if account.wants(each)]
    records = []
    for scope, dataset, day in product(scopes, found.declared.datasets, days):
        asked = urlencode({"dataset": dataset, "profile": scope.id, "date": day})
        with urllib.request.urlopen(f"{amazon}/_admin/stream?{asked}") as answer:  # noqa: S310 - loopback
            records += json.load(answer)
    twice = [*records, *records[::10]]
    random.Random(len(twice)).shuffle(twice)  # noqa: S311 - an order, no secret
    return send(services.sqs, provide_queue(services, found), twice)
