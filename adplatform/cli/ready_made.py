"""What is ready-made on a terminal: reports of Amazon's APIs, presets of formats, feeds of SaaS applications, and the
columns of a feed."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from adplatform.amazon.ads import definitions as ads
from adplatform.amazon.ads import metadata
from adplatform.amazon.ads.unified import definitions as unified
from adplatform.amazon.selling_partner import definitions as selling_partner
from adplatform.cli.context import console
from adplatform.contracts.column import Column
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.pii import Pii
from adplatform.contracts.presets import NAMES, preset_of
from adplatform.contracts.ready_made import ReadyMadeFeeds, connectors, ready_made_of
from adplatform.contracts.saas import FlowFeed, SaasSource
from adplatform.failures import PermanentFailure, wrapped


def ready_made(
    of: Annotated[str | None, typer.Argument(help="A connector of AppFlow, Salesforce for example.")] = None,
    feed: Annotated[str | None, typer.Argument(help="One of its feeds: shows its columns.")] = None,
) -> None:
    """List reports and feeds that need no more than their name in `reports` or `feeds`, and presets of `format`."""
    if of is None:
        console.print(_reports())
        console.print(_presets())
    elif of not in connectors():
        raise PermanentFailure(
            f"nothing is ready-made for the connector {of!r}{did_you_mean(of, connectors())}; there is for "
            f"{', '.join(connectors())}"
        )
    for name in connectors() if of is None else [of]:
        known = ready_made_of(name)
        if known is not None and feed is None:
            console.print(_feeds(name, known))
        elif known is not None:
            console.print(_columns(name, str(feed), known))


def _reports() -> Table:
    table = Table("component", "report", "what it holds", box=SIMPLE, pad_edge=False)
    for name, report in ads.READY_MADE.items():
        table.add_row("AmazonAdsReports", name, report.description)
    for name, export in metadata.READY_MADE.items():
        table.add_row("AmazonAdsReports", name, " ".join(each.description for each in export.datasets))
    for name, of_accounts in unified.READY_MADE.items():
        table.add_row("AmazonAdsReports, api: v1", name, of_accounts.description)
    for name, definition in selling_partner.READY_MADE.items():
        table.add_row("SellingPartnerReports", name, " ".join(each.description for each in definition.datasets))
    return table


def _presets() -> Table:
    table = Table("format.preset", "whose files", "how to export so", box=SIMPLE, pad_edge=False)
    table.title, table.title_justify = "Files of exporters: format: {preset: ...}", "left"
    for name in NAMES:
        preset = preset_of(name)
        table.add_row(name, Text(preset.title), Text(preset.export))
    return table


def _feeds(connector: str, known: ReadyMadeFeeds) -> Table:
    table = Table("feed", "object", "what it holds", box=SIMPLE, pad_edge=False)
    table.title, table.caption = f"{known.title}: SaasFlows with connector: {connector}", known.note or None
    table.title_justify = table.caption_justify = "left"
    for name, settings in known.feeds.items():
        table.add_row(name, settings["object"], settings["description"])
    return table


def _columns(connector: str, name: str, known: ReadyMadeFeeds) -> Table:
    if name not in known.feeds:
        raise PermanentFailure(
            f"there is no ready-made feed {name!r} for {connector}{did_you_mean(name, known.feeds)}; there are "
            f"{wrapped(known.feeds)}"
        )
    made = _made(connector, name)
    table = Table("column", "field", "type", "personal data", box=SIMPLE, pad_edge=False)
    table.title = f"{known.title}, {name}: key {', '.join(made.key)}, partitions by {made.partition_by}"
    table.title_justify = "left"
    for column in made.columns:
        table.add_row(column.name, _origin(column), column.type, _stored(column.pii))
    return table


def _made(connector: str, name: str) -> FlowFeed:
    common = {"source": "any", "connection": "any", "account": "{account}", "start_date": "2000-01-01"}
    return SaasSource.model_validate({**common, "connector": connector, "feeds": [name]}).feeds[0]


def _origin(column: Column) -> str:
    return column.expression or column.field_name


def _stored(pii: Pii | None) -> str:
    return f"{pii.kind}: {', '.join(pii.treatment)}" if pii else ""
