"""Ready-made reports of vendors by the hour, and forecasts.

Columns are those of Amazon's own schemas (``vendorRealTimeSalesReport``, ``...Traffic...``, ``...Inventory...``,
``vendorForecastingReport``), which say: rows are of whole hours of UTC; sales and views of the last hours change, as
orders are cancelled; inventory can be had of the last 168 hours, 24 hours at once; and views must have ended an hour
before they are asked for, in practice four (seen by others: less is FATAL). For how long Amazon keeps sales and views
by the hour is not written there: other clients ask for 14 days at once and go back 30.
"""

from dataclasses import replace
from datetime import timedelta

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, with_metrics
from adplatform.amazon.hours import Hours
from adplatform.amazon.restatement import SNAPSHOT, RestatementPolicy
from adplatform.amazon.selling_partner.analytics import MONEY, Fields

_EVERY = timedelta(hours=3)


def _by_hour(what: str, fields: Fields, delay: int, description: str, policy: RestatementPolicy) -> ReportDefinition:
    """A report whose hours can be had ``delay`` hours after they ended."""
    columns = [("startTime", "timestamp"), ("endTime", "timestamp"), ("asin", "string"), *fields]
    return ReportDefinition(
        name=f"vendor_real_time_{what}",
        api="selling_partner",
        report_type=f"GET_VENDOR_REAL_TIME_{what.upper()}_REPORT",
        layout="json",
        configuration={},
        datasets=(
            Dataset(
                feed=f"vendor_real_time_{what}",
                records="reportData",
                date_field="startTime",
                description=f"{description}, by hour and product; today up to the hour that was asked for last.",
                plotted=tuple(name for name, _ in fields),
                schema_policy="evolve",
                columns=with_metrics(columns_of(columns, required=("startTime", "asin"))),
            ),
        ),
        policy=replace(policy, hours=Hours(_EVERY, timedelta(hours=delay))),
    )


_KEPT_FOR_WEEKS = RestatementPolicy(
    daily=(0, 1, 2, 3, 7), waves=(14,), max_range_days=14, retention_days=30, closes=False
)
_KEPT_FOR_A_WEEK = RestatementPolicy(
    daily=(0, 1, 2),
    waves=(),
    max_range_days=1,
    retention_days=7,
    requests_per_day=4,
    backfill_per_day=6,
    closes=False,
)

VENDOR = (
    _by_hour("sales", (("orderedUnits", "bigint"), ("orderedRevenue", MONEY)), 1, "Sales", _KEPT_FOR_WEEKS),
    _by_hour("traffic", (("glanceViews", "bigint"),), 4, "Views of the detail pages", _KEPT_FOR_WEEKS),
    _by_hour("inventory", (("highlyAvailableInventory", "bigint"),), 1, "Units that can be sold", _KEPT_FOR_A_WEEK),
    ReportDefinition(
        name="vendor_forecast",
        api="selling_partner",
        report_type="GET_VENDOR_FORECASTING_REPORT",
        layout="json",
        configuration={"sellingProgram": "RETAIL"},
        datasets=(
            Dataset(
                feed="vendor_forecast",
                records="forecastByAsin",
                description="How much Amazon expects to be bought of each product in the coming weeks, as of a day.",
                schema_policy="evolve",
                columns=with_metrics(
                    columns_of(
                        [
                            *(("forecastGenerationDate", "date"), ("asin", "string")),
                            *(("startDate", "date"), ("endDate", "date")),
                            *((f"{how}ForecastUnits", "double") for how in ("mean", "p70", "p80", "p90")),
                        ],
                        required=("asin", "startDate"),
                    )
                ),
            ),
        ),
        policy=SNAPSHOT,
    ),
)
