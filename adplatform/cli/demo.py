"""The demo: what `make demo` shows."""

from datetime import UTC, datetime

from rich.console import Console

from adplatform.cli.headless import process_all
from adplatform.cli.history import publication_table
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.local.demo import Partners

FEEDS = ("northwind/campaign_daily", "clubcard/members", "clubcard/purchases")


def run_demo(services: Services, sources: list[Source], console: Console, errors: Console) -> None:
    """Seed the demo partners, let them deliver, process everything, and show what became of it."""
    provision(services, sources)

    def upload(key: str, body: bytes) -> None:
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body, **services.zones.put_arguments)

    if any(services.ledger.deliveries(feed) for feed in FEEDS):
        console.print("The partners have delivered already; processing whatever is still due.\n")
        process_all(services, 0, console, errors)
    else:
        with Partners(upload, services.secrets, datetime.now(UTC).date()) as partners:
            console.rule("Two partners deliver: encrypted campaigns and members, and plain purchases")
            partners.first_deliveries()
            process_all(services, 7, console, errors)
            console.rule("A damaged file comes again, and purchases are corrected after they were published")
            partners.second_deliveries()
            process_all(services, 2, console, errors)
    rows = [(feed, version) for feed in FEEDS for version in services.ledger.publications(feed)]
    console.print()
    console.print(publication_table(rows, title="What became of every delivery"))
    console.print(HINTS, highlight=False, markup=False)


HINTS = """
Look around (with .venv/bin on the PATH):
  adplatform query "select device, sum(cost) from clean_northwind.campaign_daily group by all"
  adplatform query "select email_lake, email_amazon_ads, country from clean_clubcard.members limit 3"
  adplatform ledger northwind/campaign_daily
  adplatform quarantine list
  make dev        the same data in Dagster's UI, with sensors on
"""
