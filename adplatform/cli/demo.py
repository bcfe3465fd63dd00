"""The demo: what `make demo` shows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import httpx
from rich.console import Console

from adplatform.cli.consumers import applied
from adplatform.cli.demo_ads import REPORTS_TAKE, disturb, pull_earlier, send_stream
from adplatform.cli.engine_runs import run_table
from adplatform.cli.headless import declared_automations, process_all, run_jobs
from adplatform.cli.history import publication_table
from adplatform.cli.report_history import life, report_feeds, report_tables
from adplatform.cli.status import show
from adplatform.components.assembly.automation import Automation
from adplatform.definitions import defs
from adplatform.engines.changes import ChangedFiles
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import asked
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.local.world.partners import Partners
from adplatform.marketing.pattern import MadeOfOthers
from adplatform.operations.board import look_over
from adplatform.patterns import of_kind
from adplatform.pull.account import Account
from adplatform.pull.pattern import PulledReports
from adplatform.resources.provisioning import provision_patterns
from adplatform.resources.simulated_host import put_file
from adplatform.sftp.places import remote_path

SERVICES_TAKE = 15
"""Seconds without anything to do after which services do nothing more with tables."""
_DELIVERIES_TAKE = 7
"""The same of deliveries."""
_REST = 2
"""The same where no source waits for anything."""
TRADED = 40
"""New orders of the simulated shop between two readings of its database."""
FEEDS = ("northwind/campaign_daily", "clubcard/members", "clubcard/purchases")


def run_demo(services: Services, patterns: list[Pattern], console: Console, errors: Console) -> None:
    """Seed the demo partners, let them deliver and a shop trade, pull reports, run flows; show what became of all."""
    provision_patterns(services, patterns)
    automations, loaded = declared_automations(), defs()
    shops = [each for each in of_kind(patterns, EngineFiles) if each.simulated_database is not None]
    followed = {each.source.name for each in of_kind(patterns, ChangedFiles)}
    first = {each.source.name for each in (*(p for p in patterns if p.source.takes_files), *shops)} - followed
    following = [each for each in automations if each.source in followed]
    partners_only = [each for each in automations if each.source in first]

    def upload(key: str, body: bytes) -> None:
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body, **services.zones.put_arguments)

    if any(services.ledger.deliveries.of_feed(feed) for feed in FEEDS):
        console.print("The partners have delivered already; processing whatever is still due.\n")
        _trade(services, shops, console)
        process_all(services, partners_only, 0, console, errors, loaded=loaded)
    else:
        with Partners(upload, services.secrets, datetime.now(UTC).date()) as partners:
            console.rule(
                "Two partners deliver encrypted campaigns and members, and plain purchases; a shop's tables are read"
            )
            partners.first_deliveries()
            # One look starts it; the files of changes are waited for with all else.
            process_all(services, following, 0, console, errors, loaded=loaded)
            process_all(services, partners_only, _DELIVERIES_TAKE, console, errors, rest=_REST, loaded=loaded)
            console.rule("Services that read the tables are made to know them; publications start what they do")
            for name in sorted(first & {each.source.name for each in patterns if each.source.workloads}):
                applied(services, name)
            console.rule(
                "A damaged file comes again, published purchases are corrected; the shop sells on, and is read again"
            )
            partners.second_deliveries()
            _trade(services, shops, console)
            process_all(services, partners_only, _DELIVERIES_TAKE, console, errors, rest=_REST, loaded=loaded)
    _export(services, patterns)
    _hand_over(services, patterns)
    rows = [(feed, version) for feed in FEEDS for version in services.ledger.publications.of_feed(feed)]
    console.print()
    console.print(publication_table(rows, title="What became of every delivery"))
    _pull(services, patterns, automations, console, errors, loaded)
    for live in of_kind(patterns, ChangedFiles):
        _compare(services, live, shops, console)
    console.rule("AppFlow, DataSync, DMS, tables of a database, an SFTP server: their runs, and what these brought")
    for pattern in of_kind(patterns, EngineFiles):
        for target in pattern.watch(services).targets:
            table = run_table(services.ledger, pattern.source.name, target.name, most=5)
            if table.row_count:
                console.print(table)
    _consume(services, patterns, automations, console, errors, loaded)
    run_jobs(services.settings, loaded, ["operations_board_rebuild"])
    console.rule("Where everything stands: `adplatform status`, and the asset operations_board")
    show(look_over(services, patterns), console)
    console.print(HINTS, highlight=False)


def _pull(
    services: Services,
    patterns: list[Pattern],
    automations: Sequence[Automation],
    console: Console,
    errors: Console,
    loaded: dg.Definitions,
) -> None:
    """Pull the reports of the accounts, an Ads account some days ago first, and take what it streams."""
    pulled = of_kind(patterns, PulledReports)
    accounts = [each.account for each in pulled]
    if not any(services.ledger.scopes.of_source(account.source) for account in accounts):
        disturb(services.settings)
        console.rule("Keywords of an Ads account are read for the first time, some days ago")
        pull_earlier(services, console, errors)
    console.rule("An Ads account and a seller: reports are asked for, awaited, and pulled date by date")
    made_of_others = {each.source.name for each in of_kind(patterns, MadeOfOthers)}
    bringing = [each for each in automations if each.source not in made_of_others]
    patience = REPORTS_TAKE + _quiet(patterns)
    process_all(services, bringing, patience, console, errors, rest=_REST, loaded=loaded)
    console.rule("Marketing Stream says the same by the hour; a daily fact has what all channels cost")
    send_stream(services, pulled, console)
    names = made_of_others | {each.source for each in accounts}
    following = [each for each in automations if each.source in names]
    process_all(services, following, _DELIVERIES_TAKE, console, errors, rest=_REST, loaded=loaded)
    console.print()
    for table in report_tables(services.ledger, report_feeds(services.ledger, accounts)):
        console.print(table)
    _show_survivor(services, accounts, console)
    run_jobs(services.settings, loaded, [f"{account.source}_restatement_audit" for account in accounts])


def _quiet(patterns: list[Pattern]) -> float:
    """Seconds without a new file after which those of changes are taken, at most."""
    feeds = [flow.feed for each in of_kind(patterns, ChangedFiles) for flow in each.source.feeds]
    return max((feed.arrival.quiet_period.total_seconds() for feed in feeds), default=0)


def _consume(
    services: Services,
    patterns: Sequence[Pattern],
    automations: Sequence[Automation],
    console: Console,
    errors: Console,
    loaded: dg.Definitions,
) -> None:
    """Have services know of all tables, and do what publications have wanted of them."""
    console.rule("What services have made of the tables")
    applied(services)
    consumed = [each for each in patterns if each.source.workloads]
    names = {each.source.name for each in consumed}
    following = [each for each in automations if each.source in names]
    process_all(services, following, SERVICES_TAKE, console, errors, rest=_REST, loaded=loaded)
    for pattern in consumed:
        for workload in pattern.source.workloads:
            console.print(run_table(services.ledger, pattern.source.name, workload.target, most=2))
    _show_matches(services, console)


def _show_matches(services: Services, console: Console) -> None:
    """How many members Entity Resolution takes for how many persons, of the table that its results have become."""
    prefix = services.settings.database_prefix
    sql = f"select count(*), count(distinct match_id) from {prefix}clubcard.member_matches"
    _, [(members, persons)] = run_query(services.aws, services.glue, prefix, sql, 1)
    console.print(f"Entity Resolution: {members:,} members are {persons:,} persons\n")


def _export(services: Services, patterns: list[Pattern]) -> None:
    """What another cloud's analytics exports, for DataSync to replicate."""
    today = datetime.now(UTC).date()
    for pattern in of_kind(patterns, EngineFiles):
        task = pattern.task(services)
        if task is None or not task.simulated:
            continue
        for day in (today - timedelta(days=1), today):
            rows = [f"{n},person{n}@example.com,{n}.50,{day}T08:{n:02d}:00Z" for n in range(1, 31)]
            body = "\n".join(["conversion_id,email,value,converted_at", *rows, ""])
            for flow in pattern.source.feeds:
                key = task.at_source(flow.layout.key(day, "export.csv"))
                services.s3.put_object(Bucket=task.store_bucket, Key=key, Body=body.encode())


def _hand_over(services: Services, patterns: list[Pattern]) -> None:
    """What a carrier puts on its SFTP server, for us to fetch."""
    today = datetime.now(UTC).date()
    for pattern in of_kind(patterns, EngineFiles):
        if pattern.simulated_host is None:
            continue
        for day in (today - timedelta(days=1), today):
            rows = [f"P{n:05},{n},person{n}@example.com,{n}.250,{day}T07:{n:02d}:00Z" for n in range(1, 41)]
            body = "\n".join(["parcel_id,order_id,recipient,weight_kg,handed_over_at", *rows, ""])
            for flow in pattern.source.feeds:
                path = remote_path(flow.feed, day, f"{flow.feed.name}_{day:%Y%m%d}.csv", today)
                put_file(services, pattern.simulated_host, path, body.encode())


def _trade(services: Services, shops: Sequence[EngineFiles], console: Console) -> None:
    """Let simulated shops trade, and want to have what changed in the tables that are read so."""
    for shop in shops:
        secret = services.secrets.get_secret_value(SecretId=shop.simulated_database)["SecretString"]
        with httpx.Client(trust_env=False, timeout=60) as http:
            answer = http.post(f"{json.loads(secret)['administration']}/trade", json={"orders": TRADED})
        done = ", ".join(f"{count} {kind}" for kind, count in answer.raise_for_status().json().items())
        console.print(f"{shop.source.name} trades: {done}", highlight=False)
        watch = shop.watch(services)
        for target in watch.targets:
            if not target.engine.limits.replaces:
                watch.intend(target, asked(services.now()))


def _compare(services: Services, live: ChangedFiles, shops: Sequence[EngineFiles], console: Console) -> None:
    """The table that follows the shop's orders, beside the shop itself."""
    console.rule("A shop's orders were followed through every change: the table beside the database")
    prefix = services.settings.database_prefix
    orders = f"select count(*), sum(amount), max(updated_at) from {prefix}{live.source.name}.orders"
    _, [found] = run_query(services.aws, services.glue, prefix, orders, 1)
    for shop in shops:
        secret = services.secrets.get_secret_value(SecretId=shop.simulated_database)["SecretString"]
        with httpx.Client(trust_env=False, timeout=60) as http:
            truth = http.get(f"{json.loads(secret)['administration']}/truth?table=orders").raise_for_status().json()
        console.print(f"the shop: {truth['rows']} orders, {truth['sum']} in all, the last of {truth['newest']}")
    rows, total, newest = found
    console.print(f"the table: {rows} orders, {total} in all, the last of {newest.isoformat()}\n")


def _show_survivor(services: Services, accounts: Sequence[Account], console: Console) -> None:
    """The life of a report whose order was taken although its answer was lost."""
    feeds = [feed for feed in report_feeds(services.ledger, accounts) if not feed.definition.discovered]
    adopted = [(feed, r) for feed in feeds for r in services.ledger.reports.of_feed(feed.name) if r.adopted]
    for feed, report in adopted[:1]:
        console.rule("Amazon took an order, its answer was lost; asked again, it named the report: none was made twice")
        for part in life(services, feed, report):
            console.print(part)


HINTS = """
Look around (with .venv/bin on the PATH):
  adplatform query "select device, sum(cost) from clean_northwind.campaign_daily group by all"
  adplatform query "select email_lake, email_amazon_ads, country from clean_clubcard.members limit 3"
  adplatform query "select match_rule, count(distinct match_id) from clean_clubcard.member_matches group by all"
  adplatform query "select ad_product, sum(cost), sum(sales) from clean_northwind_ads.ads_daily group by all"
  adplatform query "select hour_of_day, sum(impressions), sum(cost) from clean_northwind_ads.stream_hourly group by all"
  adplatform query "select dt, channel, sum(cost) from clean_northwind_marketing.marketing_daily group by all"
  adplatform query "select dt, sales_by_date_units_ordered from clean_northwind_seller.sales_and_traffic_by_date"
  adplatform status
  adplatform ledger northwind/campaign_daily
  adplatform stream northwind_ads
  adplatform reports northwind_ads      (add the id of a report to see its whole life)
  adplatform query "select count(*), count(email_lake) from clean_northwind_crm.contacts"
  adplatform query "select dt, count(*), sum(value) from clean_northwind_cloud.conversions group by all"
  adplatform query "select count(*), sum(amount), max(updated_at) from clean_northwind_shop.orders"
  adplatform query "select status, count(*) from clean_northwind_live.orders_history group by all"
  adplatform query "select dt, count(*), sum(weight_kg) from clean_northwind_parcels.shipments group by all"
  adplatform runs northwind_shop        (and northwind_crm, northwind_cloud, northwind_live, northwind_parcels)
  adplatform consumers check
  adplatform inventory northwind_cloud
  adplatform quarantine list
  make dev        the same data in Dagster's UI, with sensors on
"""
