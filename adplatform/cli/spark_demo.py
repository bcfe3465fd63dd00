"""The demo of a delivery that outgrows one machine: what `make spark-demo` shows."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from shutil import rmtree
from typing import Annotated

import typer

from adplatform.cli.context import connect, console, errors
from adplatform.failures import PermanentFailure
from adplatform.platform.extras import LOCAL, extra
from adplatform.platform.settings import read_settings

FEED = "clubcard/purchases"
_WAIT = 600.0
"""Seconds after which nobody waits for the job any more."""
_DAYS = 5
_QUERY = "select count(*), sum(amount), count(distinct member_id_lake) from {prefix}clubcard.purchases"


def spark_demo(
    rows: Annotated[int, typer.Option(help="Purchases of each of two files.", min=1)] = 100_000,
) -> None:
    """A partner's delivery is transformed by a Spark cluster of this machine, one master and two workers, through the
    embedded Glue, with a platform of its own below .adplatform/spark-demo."""
    settings = read_settings()
    if settings.env != "local":
        raise PermanentFailure("the demo runs on the embedded AWS only: unset ADPLATFORM_ENV")
    with extra(LOCAL):
        from adplatform.local.aws.scripts import CLUSTER  # noqa: PLC0415 - not everywhere
        from adplatform.local.dagster_home import prepare_dagster_home  # noqa: PLC0415 - as above
        from adplatform.local.spark_cluster import spark_cluster  # noqa: PLC0415 - as above
    home = settings.home / "spark-demo"
    rmtree(home, ignore_errors=True)
    with spark_cluster() as cluster:
        # What starts from here on, the embedded AWS and runs, is of this platform.
        os.environ |= {
            CLUSTER: cluster.url,
            "ADPLATFORM_HOME": str(home),
            "ADPLATFORM_SPARK": "glue",
            "ADPLATFORM_SPARK_ROLE": "adplatform-spark",
            "ADPLATFORM_SPARK_FROM": "1",
            "DAGSTER_HOME": str(prepare_dagster_home(home)),
        }
        console.print(f"a Spark cluster of {len(cluster.workers)} workers is at {cluster.url}", highlight=False)
        _deliver(rows)


def _deliver(rows: int) -> None:
    from adplatform.cli.engine_runs import run_table  # noqa: PLC0415 - they read settings
    from adplatform.cli.headless import declared_automations, process_all  # noqa: PLC0415 - as above
    from adplatform.cli.history import publication_table  # noqa: PLC0415 - as above
    from adplatform.lake.query import run_query  # noqa: PLC0415 - as above
    from adplatform.patterns import declared_patterns  # noqa: PLC0415 - as above
    from adplatform.resources.provisioning import provision_patterns  # noqa: PLC0415 - as above

    services = connect()
    source, _, feed = FEED.partition("/")
    patterns = [each for each in declared_patterns(services.settings) if each.source.name == source]
    provision_patterns(services, patterns)
    today = datetime.now(UTC).date()
    [flow] = [each for each in patterns[0].source.feeds if each.feed.name == feed]
    for number in (1, 2):
        body = "".join(f"{json.dumps(each)}\n" for each in _purchases(number, rows, today)).encode()
        services.s3.put_object(
            Bucket=services.zones.raw_bucket,
            Key=flow.layout.key(today, f"purchases-{number}.json"),
            Body=body,
            **services.zones.put_arguments,
        )
        console.print(f"{source} delivers purchases-{number}.json: {rows:,} rows, {len(body):,} bytes", highlight=False)
    process_all(
        services, [each for each in declared_automations() if each.source == source], _WAIT, console, errors, rest=3
    )
    console.print(run_table(services.ledger, source, f"transform-{feed}", most=5))
    published = services.ledger.publications.of_feed(FEED)
    console.print(publication_table([(FEED, each) for each in published], title="What became of the delivery"))
    prefix = services.settings.database_prefix
    _, [found] = run_query(services.aws, services.glue, prefix, _QUERY.format(prefix=prefix), 1)
    whole = [each for number in (1, 2) for each in _purchases(number, rows, today)]
    amount, members = sum(Decimal(each["amount"]) for each in whole), len({each["member_id"] for each in whole})
    console.print(f"delivered: {len(whole)} purchases of {members} members, {amount} in all", highlight=False)
    console.print(f"the table: {found[0]} purchases of {found[2]} members, {found[1]} in all", highlight=False)
    if tuple(found) != (len(whole), amount, members):
        raise PermanentFailure("the table is not what was delivered; `adplatform doctor` compares more")


def _purchases(file: int, rows: int, today: date) -> Iterator[dict[str, str]]:
    for number in range(rows):
        yield {
            "purchase_id": str(file * 1_000_000_000 + number),
            "member_id": f"M{number % 997:05}",
            "purchased_on": str(today - timedelta(days=number % _DAYS)),
            "amount": f"{number % 500}.{number % 100:02}",
            "currency": ("EUR", "GBP", "USD")[number % 3],
        }
