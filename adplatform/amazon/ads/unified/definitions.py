"""Ready-made reports of the Ads API v1, and what a report of the user's own becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adplatform.amazon.ads.unified.fields import CONVERTED, METRIC, check, field_type, fields
from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, table_names, with_metrics
from adplatform.amazon.restatement import ads_policy
from adplatform.contracts.hints import did_you_mean

UNIFIED = "unified"
"""The report type of all of them: there are no others."""
ATTRIBUTION = 14
"""Days for which the base metrics count conversions: 7 for Sponsored Products of sellers, 14 for all else but campaigns
of Amazon DSP that have windows of their own. They are booked on the date of the ad interaction (documentation,
overview)."""
RETENTION, HOURLY_RETENTION = 450, 14
"""Days. Public clients have 15 months by ``date.value`` and 14 days by ``hour.value`` from a page of the documentation
of which no copy was found."""
LONGEST_RANGE, HOURLY_RANGE = 31, 14
"""Days. They have 120 by ``date.value`` too; a month is what the other reports take."""
_HOUR = "hour.value"
_PLOTTED = tuple(METRIC + name for name in ("impressions", "clicks", "purchases"))
"""Not money, which an account has in several currencies."""
_MOST_FILTERS, _MOST_VALUES = 10, 2000


@dataclass(frozen=True)
class UnifiedReport:
    """What is asked of the Ads API v1. ``filters`` are values by field; ``currency`` is the one into which Amazon
    converts metrics whose names end in ``Converted``, as a code of ISO 4217, "" for none."""

    fields: tuple[str, ...]
    description: str = ""
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currency: str = ""


_OF_CAMPAIGN = ("date.value", "adProduct.value", "campaign.id", "campaign.name", "campaign.country")
_METRICS = (
    *("budgetCurrency.value", "metric.impressions", "metric.clicks", "metric.totalCost", "metric.purchases"),
    *("metric.sales", "metric.unitsSold"),
)
_AD_GROUP = ("adGroup.id", "adGroup.name")

READY_MADE: Mapping[str, UnifiedReport] = {
    "unified_campaigns": UnifiedReport(
        (*_OF_CAMPAIGN, *_METRICS), "All ad products and countries by campaign and day."
    ),
    "unified_ad_groups": UnifiedReport(
        (*_OF_CAMPAIGN, *_AD_GROUP, *_METRICS), "All ad products and countries by campaign, ad group and day."
    ),
    "unified_targets": UnifiedReport(
        (*_OF_CAMPAIGN, *_AD_GROUP, "target.value", "target.matchType", *_METRICS),
        "All ad products and countries by keyword or target and day; Amazon gives targets no ids here.",
    ),
    "unified_search_terms": UnifiedReport(
        (*_OF_CAMPAIGN, *_AD_GROUP, "target.value", "target.matchType", "searchTerm.value", *_METRICS),
        "All ad products and countries by search term and day.",
    ),
    "unified_advertised_products": UnifiedReport(
        (*_OF_CAMPAIGN, *_AD_GROUP, "ad.id", "advertisedProduct.id", "advertisedProduct.sku", *_METRICS),
        "All ad products and countries by advertised product and day.",
    ),
}
"""After Amazon's own examples of how reports of version 3 are asked for here."""


def unified_definition(
    name: str, report: UnifiedReport, unchecked: Mapping[str, str] | None = None
) -> ReportDefinition:
    """A definition of the Ads API v1, checked against the fields that are known. ``unchecked`` maps further fields to
    their types.

    Raises:
        ValueError: Amazon does not take these fields or filters together, or rows would have no date.
    """
    own = dict(unchecked or {})
    check(name, report.fields, own)
    asked = tuple(dict.fromkeys((*report.fields, *own)))
    _check_currency(name, report.currency, asked)
    hourly = _HOUR in asked
    called = table_names(map(_short, asked))
    dataset = Dataset(
        feed=name,
        columns=with_metrics(
            columns_of(
                ((f, own.get(f) or field_type(f).type) for f in asked),
                required=("date.value",),
                names={f: called[_short(f)] for f in asked},
            )
        ),
        date_field="date.value",
        plotted=tuple(f for f in _PLOTTED if f in asked),
        description=report.description or f"{', '.join(f for f in asked if not f.startswith(METRIC))}.",
        schema_policy="evolve",
    )
    return ReportDefinition(
        name=name,
        api="ads",
        report_type=UNIFIED,
        layout="csv",
        configuration={
            "format": "CSV",
            "fields": list(asked),
            **_filter(name, report.filters, own),
            **({"currencyOfView": report.currency} if report.currency else {}),
        },
        datasets=(dataset,),
        policy=ads_policy(
            ATTRIBUTION,
            HOURLY_RETENTION if hourly else RETENTION,
            HOURLY_RANGE if hourly else LONGEST_RANGE,
        ),
        attribution_days=ATTRIBUTION,
    )


def column_of(name: str) -> str:
    """What a field is called in a table where no other is in its way."""
    return table_names([_short(name)])[_short(name)]


def _short(name: str) -> str:
    """``metric.totalCost`` to ``totalCost``, ``adProduct.value`` to ``adProduct``, and ``campaign.id`` as it is."""
    return name.removeprefix(METRIC).removesuffix(".value")


def _check_currency(name: str, currency: str, asked: Sequence[str]) -> None:
    if bool(currency) != (CONVERTED in asked):
        raise ValueError(
            f"{name}: currency_of_view and the field {CONVERTED} go together: Amazon converts into the one that is "
            "named, and says in the field which that was"
        )


def _filter(name: str, filters: Mapping[str, Sequence[str]], unchecked: Mapping[str, str]) -> dict[str, Any]:
    """The ``filter`` of a query, where there is one (OpenAPI specification, ``CreateFilter``)."""
    known = [each for each in fields() if not each.startswith(METRIC)]
    for asked, values in filters.items():
        if asked not in known and asked not in unchecked:
            raise ValueError(
                f"{name}: filter {asked!r} is no dimension that is known{did_you_mean(asked, known)}; "
                "`adplatform amazon catalogue unified` lists them"
            )
        if not 0 < len(values) <= _MOST_VALUES:
            raise ValueError(f"{name}: filter {asked} has {len(values)} values, and Amazon takes 1 to {_MOST_VALUES}")
    if len(filters) > _MOST_FILTERS:
        raise ValueError(f"{name}: Amazon takes {_MOST_FILTERS} filters at most, and these are {len(filters)}")
    each = [
        {
            "on": {
                "field": asked,
                "comparisonOperator": "EQUALS" if len(values) == 1 else "IN",
                "not": False,
                "values": list(values),
            }
        }
        for asked, values in sorted(filters.items())
    ]
    if not each:
        return {}
    return {"filter": each[0] if len(each) == 1 else {"and": {"filters": each}}}
