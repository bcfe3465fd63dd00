"""Files in the form of each exporter: its preset reads them to exact values, the way check-file does, and drafts
name it."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adplatform.contracts.feed import Feed
from adplatform.contracts.model import Contract
from adplatform.contracts.presets import NAMES, preset_of
from adplatform.drafting.declaration import feed_yaml
from adplatform.drafting.draft import draft_of
from adplatform.drafting.reads import Reader
from adplatform.drafting.trial import Settled, Trial, settled, try_contract
from adplatform_tests.support.workbooks import workbook
from adplatform_tests.transform.outcome import clean_rows

MONEY, SHARE = "decimal(14,2)", "decimal(9,4)"
D = Decimal


@dataclass(frozen=True)
class Delivered:
    """A file of an exporter. ``format`` and ``more`` stand beside the preset; ``rows`` are what is read of it."""

    data: bytes
    columns: Mapping[str, Any]
    rows: Sequence[tuple[Any, ...]]
    left_out: int
    format: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


GOOGLE = {
    "status": {"field": "Campaign status"},
    "campaign": {"field": "Campaign"},
    "budget": {"field": "Budget", "type": MONEY},
    "day": {"field": "Day", "type": "date"},
    "cost": {"field": "Cost", "type": MONEY},
    "impressions": {"field": "Impr.", "type": "bigint"},
    "ctr": {"field": "CTR", "type": SHARE},
    "impression_share": {"field": "Search impr. share", "type": SHARE},
}
GOOGLE_LINES = (
    ("Campaign report",),
    ("November 1, 2026 - November 2, 2026",),
    ("Campaign status", "Campaign", "Budget", "Day", "Cost", "Impr.", "CTR", "Search impr. share"),
    ("Enabled", "Brand, exact", "50.00", "2026-11-01", "1,033.33", "12,345", "2.60%", "87.12%"),
    ("Enabled", "Grün", "1,250.00", "2026-11-01", "0.01", "1", "0.00%", "< 10%"),
    ("Paused", " --", " --", "2026-11-02", "5.00", "10", "--", "> 90%"),
    ("Total: Campaigns", " --", " --", " --", "1,038.34", "12,356", "2.60%", "81.00%"),
    ("Total: Account", " --", "1,300.00", " --", "1,038.34", "12,356", "2.60%", "81.00%"),
)
GOOGLE_ROWS = (
    ("Enabled", "Brand, exact", D(50), date(2026, 11, 1), D("1033.33"), 12345, D("2.6"), D("87.12")),
    ("Enabled", "Grün", D(1250), date(2026, 11, 1), D("0.01"), 1, D(0), None),
    ("Paused", None, None, date(2026, 11, 2), D(5), 10, None, None),
)


def comma(fields: Sequence[str]) -> str:
    return ",".join(f'"{each}"' if "," in each else each for each in fields)


BING = (
    '"Report Name: Campaigns by day"\r\n"Report Time: 11/1/2026,11/2/2026"\r\n"Time Zone: (GMT+01:00) Berlin"\r\n'
    '"Last Completed Available Day: 11/2/2026 11:59:59 PM (GMT)"\r\n"Report Aggregation: Daily"\r\n'
    '"Report Filter: "\r\n"Potential Incomplete Data: False"\r\n"Rows: 2"\r\n\r\n'
    '"TimePeriod","CampaignName","CampaignId","Impressions","Ctr","Spend"\r\n'
    '"11/1/2026","Brand","4711","1,204","12.50%","99.10"\r\n"2026-11-02","--","4712","0","--","0.00"\r\n'
    '"Total","","","1,204","12.50%","99.10"\r\n\r\n"©2026 Microsoft Corporation. All rights reserved. "\r\n'
)
META = {"changes": [], "sync_id": 7}


def parquet(row: Mapping[str, Any]) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row)]), written)
    return written.getvalue()


FILES: dict[str, Delivered] = {
    "dlt": Delivered(
        parquet({"order_id": 1, "total": 1.5, "_dlt_load_id": "1796055580.0725014", "_dlt_id": "MNmv928bLQWI0Q"}),
        {"order_id": "bigint", "total": MONEY},
        ((1, D("1.5")),),
        left_out=0,
    ),
    "airbyte": Delivered(
        parquet(
            {
                "_airbyte_raw_id": "26d73cde-7eb1-4e1e-b7db-a4c03b4cf206",
                "_airbyte_extracted_at": datetime(2026, 11, 25, 9, tzinfo=UTC),
                "_airbyte_meta": {**META, "changes": [{"field": "x", "change": "NULLED", "reason": "SOURCE"}]},
                "_airbyte_generation_id": 11,
                "order_id": 1,
            }
        ),
        {"order_id": "bigint"},
        ((1,),),
        left_out=0,
    ),
    "google_ads_ui": Delivered("\n".join(map(comma, GOOGLE_LINES)).encode(), GOOGLE, GOOGLE_ROWS, 2),
    "google_ads_excel": Delivered(
        "\r\n".join("\t".join(line) for line in GOOGLE_LINES).encode("utf-16"), GOOGLE, GOOGLE_ROWS, 2
    ),
    "meta": Delivered(
        "\ufeffReporting starts,Reporting ends,Campaign name,Day,Amount spent (EUR),Impressions,CTR (all)\n"
        '2026-11-01,2026-11-02,,,"1,346.06",47602,1.3\n'
        '2026-11-01,2026-11-01,"Fall, broad",2026-11-01,"1,234.56",45012,1.234567\n'
        "2026-11-02,2026-11-02,Löwe,2026-11-02,111.5,2590,\n".encode(),
        {
            "day": {"field": "Day", "type": "date"},
            "campaign": {"field": "Campaign name"},
            "spent": {"field": "Amount spent (EUR)", "type": MONEY},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "CTR (all)", "type": "decimal(9,6)"},
            "starts": {"field": "Reporting starts", "type": "date"},
            "ends": {"field": "Reporting ends", "type": "date"},
        },
        (
            (
                date(2026, 11, 1),
                "Fall, broad",
                D("1234.56"),
                45012,
                D("1.234567"),
                date(2026, 11, 1),
                date(2026, 11, 1),
            ),
            (date(2026, 11, 2), "Löwe", D("111.5"), 2590, None, date(2026, 11, 2), date(2026, 11, 2)),
        ),
        left_out=1,
        more={"skip_rows_where": "campaign is null"},
    ),
    "linkedin": Delivered(
        (
            "Campaign Performance Report (in UTC)\r\nReport Start: 11/1/2026\r\nReport End: 11/2/2026\r\n"
            "Date Generated: 11/25/2026\r\n\r\n"
            "Start Date (in UTC)\tCampaign Name\tTotal Spent\tImpressions\tClick Through Rate\r\n"
            '11/1/2026\t"Leads\nDACH"\t$1,234.50\t10,000\t2.00%\r\n11/25/2026\tBüro\t$0.33\t500\t0.80%\r\n'
        ).encode("utf-16"),
        {
            "day": {"field": "Start Date (in UTC)", "type": "date"},
            "campaign": {"field": "Campaign Name"},
            "spent": {"field": "Total Spent", "type": MONEY},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "Click Through Rate", "type": SHARE},
        },
        (
            (date(2026, 11, 1), "Leads\nDACH", D("1234.5"), 10000, D(2)),
            (date(2026, 11, 25), "Büro", D("0.33"), 500, D("0.8")),
        ),
        left_out=4,
    ),
    "tiktok": Delivered(
        b"Ad group name,By Day,Cost,Impressions,CTR,Conversions\n"
        b'Spark,2026-11-01,"1,200.10","250,000",1.25%,-\nSpark,2026-11-02,3.00,900,0.00%,2\n-,-,"1,203.10","250,900",1.24%,2\n'
        b'Total of 2 results,-,"1,203.10","250,900",1.24%,2\n',
        {
            "ad_group": {"field": "Ad group name"},
            "day": {"field": "By Day", "type": "date"},
            "cost": {"field": "Cost", "type": MONEY},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "CTR", "type": SHARE},
            "conversions": {"field": "Conversions", "type": "int"},
        },
        (
            ("Spark", date(2026, 11, 1), D("1200.1"), 250000, D("1.25"), None),
            ("Spark", date(2026, 11, 2), D(3), 900, D(0), 2),
        ),
        left_out=2,
        more={"skip_rows_where": "ad_group = '-'"},
    ),
    "bing": Delivered(
        b"\xef\xbb\xbf" + BING.encode(),
        {
            "day": {"field": "TimePeriod", "type": "date"},
            "campaign": {"field": "CampaignName"},
            "campaign_id": {"field": "CampaignId"},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "Ctr", "type": SHARE},
            "spend": {"field": "Spend", "type": MONEY},
        },
        (
            (date(2026, 11, 1), "Brand", "4711", 1204, D("12.5"), D("99.1")),
            (date(2026, 11, 2), None, "4712", 0, None, D(0)),
        ),
        left_out=10,
    ),
    "criteo": Delivered(
        b"AdsetId;Day;Currency;Displays;Clicks;AdvertiserCost\n54321;2026/9/10;USD;2534;35;12.345\n54321;2026/11/25;USD;0;0;0\n",
        {
            "adset_id": {"field": "AdsetId"},
            "day": {"field": "Day", "type": "date"},
            "currency": {"field": "Currency"},
            "displays": {"field": "Displays", "type": "bigint"},
            "clicks": {"field": "Clicks", "type": "bigint"},
            "cost": {"field": "AdvertiserCost", "type": "decimal(18,6)"},
        },
        (
            ("54321", date(2026, 9, 10), "USD", 2534, 35, D("12.345")),
            ("54321", date(2026, 11, 25), "USD", 0, 0, D(0)),
        ),
        left_out=0,
    ),
    "ecb_rates": Delivered(
        b"Date,USD,JPY,CYP,\n2026-11-25,1.0812,164.15,N/A,\n2026-11-24,1.08,N/A,N/A,\n",
        {
            "day": {"field": "Date", "type": "date"},
            "usd": {"type": "decimal(18,6)"},
            "jpy": {"type": "decimal(18,6)"},
            "cyp": {"type": "decimal(18,6)"},
        },
        (
            (date(2026, 11, 25), D("1.0812"), D("164.15"), None),
            (date(2026, 11, 24), D("1.08"), None, None),
        ),
        left_out=0,
    ),
    "ga4": Delivered(
        b"# ----------------------------------------\n# Free form 1\n# Shop\n# 20261101-20261102\n"
        b"# ----------------------------------------\n\nPage,Date,Views,Engagement rate\n"
        b',,"4,230",0.52,Grand total\n/a,20261101,"3,505",0.5\n"/b,c",20261102,725,0.625\n',
        {
            "page": {"field": "Page"},
            "day": {"field": "Date", "type": "date"},
            "views": {"field": "Views", "type": "bigint"},
            "engaged": {"field": "Engagement rate", "type": SHARE},
        },
        (("/a", date(2026, 11, 1), 3505, D("0.5")), ("/b,c", date(2026, 11, 2), 725, D("0.625"))),
        left_out=6,
    ),
    "dv360": Delivered(
        b"Date,Line Item ID,Impressions,Click Rate (CTR),Revenue (Adv Currency)\n2026/11/01,222,1000,5.0%,12.34\n"
        b'2026/11/25,222,"2,000",-,-\n,,"3,000",,12.34\n\nReport Time:,2026/11/26 10:00 GMT\n'
        b"Date Range:,2026/11/01 to 2026/11/25\nGroup By:,Date\n"
        b'MRC Accredited Metrics,"Clicks, some",are accredited\n"Numbers of the last month, may change."\n',
        {
            "day": {"field": "Date", "type": "date"},
            "line_item": {"field": "Line Item ID"},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "Click Rate (CTR)", "type": SHARE},
            "revenue": {"field": "Revenue (Adv Currency)", "type": MONEY},
        },
        ((date(2026, 11, 1), "222", 1000, D(5), D("12.34")), (date(2026, 11, 25), "222", 2000, None, None)),
        left_out=6,
        more={"skip_rows_where": "day is null"},
    ),
    "amazon_ads_console": Delivered(
        b'"Start Date","Campaign Name","Impressions","Click-Thru Rate (CTR)","Spend","7 Day Total Sales "\n'
        b'"Nov 01, 2026","Not grouped","50,293","0.0935%","$ 16.22","$1,020.00"\n'
        b'"Nov 25, 2026","Auto","0","","$0.00",""\n',
        {
            "day": {"field": "Start Date", "type": "date"},
            "campaign": {"field": "Campaign Name"},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "ctr": {"field": "Click-Thru Rate (CTR)", "type": SHARE},
            "spend": {"field": "Spend", "type": MONEY},
            "sales": {"field": "7 Day Total Sales", "type": MONEY},
        },
        (
            (date(2026, 11, 1), "Not grouped", 50293, D("0.0935"), D("16.22"), D(1020)),
            (date(2026, 11, 25), "Auto", 0, None, D(0), None),
        ),
        left_out=0,
    ),
    "shopify": Delivered(
        b"Name,Email,Financial Status,Paid at,Currency,Total,Lineitem quantity,Lineitem name\n"
        b'#1050,a@example.com,paid,2026-05-01 10:00:00 +0200,EUR,100.90,1,"Tea, 100 g"\n'
        b"#1050,a@example.com,,,,,2,Tea\n#1051,b@example.com,paid,2026-11-25 23:30:00 -0500,EUR,7.00,1,Tea\n",
        {
            "order": {"field": "Name"},
            "email": {"field": "Email", "drop": True},
            "status": {"field": "Financial Status"},
            "paid": {"field": "Paid at", "type": "timestamp"},
            "currency": {"field": "Currency"},
            "total": {"field": "Total", "type": MONEY},
            "quantity": {"field": "Lineitem quantity", "type": "int"},
            "item": {"field": "Lineitem name"},
        },
        (
            ("#1050", "paid", datetime(2026, 5, 1, 8, tzinfo=UTC), "EUR", D("100.9"), 1, "Tea, 100 g"),
            ("#1050", None, None, None, None, 2, "Tea"),
            ("#1051", "paid", datetime(2026, 11, 26, 4, 30, tzinfo=UTC), "EUR", D(7), 1, "Tea"),
        ),
        left_out=0,
    ),
    "hubspot": Delivered(
        b'"Record ID","First Name","Email","Deal Stage","Amount","Create Date","Close Date"\n'
        b'"9007199254740993","Ann","ann@example.com","Deposit, paid","1234.5","2026-03-12 09:14","2026-03-14"\n'
        b'"901","","","New","","2026-11-25 00:00",""\n',
        {
            "id": {"field": "Record ID", "type": "bigint"},
            "name": {"field": "First Name", "drop": True},
            "email": {"field": "Email", "drop": True},
            "stage": {"field": "Deal Stage"},
            "amount": {"field": "Amount", "type": MONEY},
            "created": {"field": "Create Date", "type": "timestamp"},
            "closed": {"field": "Close Date", "type": "date"},
        },
        (
            (2**53 + 1, "Deposit, paid", D("1234.5"), datetime(2026, 3, 12, 8, 14, tzinfo=UTC), date(2026, 3, 14)),
            (901, "New", None, datetime(2026, 11, 24, 23, tzinfo=UTC), None),
        ),
        left_out=0,
        more={"defaults": {"timezone": "Europe/Berlin"}},
    ),
    "pinterest": Delivered(
        b"Date,Campaign name,Spend in account currency,Impressions,Outbound clicks,CTR\n"
        b'2026-11-01,"Fall, broad","1,234.56","45,012",60,3.0%\n2026-11-25,Pins,5.00,900,,0.25%\n'
        b'Total,,"1,239.56","45,912",60,\n',
        {
            "day": {"field": "Date", "type": "date"},
            "campaign": {"field": "Campaign name"},
            "spend": {"field": "Spend in account currency", "type": MONEY},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "clicks": {"field": "Outbound clicks", "type": "bigint"},
            "ctr": {"field": "CTR", "type": SHARE},
        },
        (
            (date(2026, 11, 1), "Fall, broad", D("1234.56"), 45012, 60, D(3)),
            (date(2026, 11, 25), "Pins", D(5), 900, None, D("0.25")),
        ),
        left_out=1,
        more={"skip_rows_where": "day = 'Total'"},
    ),
    "the_trade_desk": Delivered(
        b"Date,Advertiser,Campaign ID,Impressions,Player Completed Views,Advertiser Cost (Adv Currency)\n"
        b'2026-11-01T00:00:00,"Acme, Inc.",ab12cd3,"45,012",7,"1,234.567891"\n2026-11-25T00:00:00,Acme,ab12cd3,0,0,0\n',
        {
            "day": {"field": "Date", "type": "date"},
            "advertiser": {"field": "Advertiser"},
            "campaign": {"field": "Campaign ID"},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "completed": {"field": "Player Completed Views", "type": "bigint"},
            "cost": {"field": "Advertiser Cost (Adv Currency)", "type": "decimal(18,6)"},
        },
        (
            (date(2026, 11, 1), "Acme, Inc.", "ab12cd3", 45012, 7, D("1234.567891")),
            (date(2026, 11, 25), "Acme", "ab12cd3", 0, 0, D(0)),
        ),
        left_out=0,
    ),
    "x_ads": Delivered(
        b"ID,Campaign,Campaign URL,Time,Spend,Impressions,Engagement rate\n"
        b'7xq1,"Fall, broad",https://ads.x.com/c/7xq1,2026-11-01,"1,234.56","45,012",1.25%\n'
        b"7xq1,Fall,https://ads.x.com/c/7xq1,2026-11-25,5.00,900,0.50%\n"
        b',,,,"1,239.56","45,912",1.24%\n',
        {
            "id": {"field": "ID"},
            "campaign": {"field": "Campaign"},
            "url": {"field": "Campaign URL", "drop": True},
            "day": {"field": "Time", "type": "date"},
            "spend": {"field": "Spend", "type": MONEY},
            "impressions": {"field": "Impressions", "type": "bigint"},
            "rate": {"field": "Engagement rate", "type": SHARE},
        },
        (
            ("7xq1", "Fall, broad", date(2026, 11, 1), D("1234.56"), 45012, D("1.25")),
            ("7xq1", "Fall", date(2026, 11, 25), D(5), 900, D("0.5")),
        ),
        left_out=1,
        more={"skip_rows_where": "id is null"},
    ),
    "excel_de": Delivered(
        "Datum;Gesehen;Kampagne;Kosten;Anteil;Aktiv\r\n3.2.2026;14.03.2026 15:09;Größe – neu;1.234,50 €;12,5%;WAHR\r\n"
        "25.11.2026;;-;-0,5;#DIV/0!;FALSCH\r\n".encode("cp1252"),
        {
            "day": {"field": "Datum", "type": "date"},
            "seen": {"field": "Gesehen", "type": "timestamp"},
            "campaign": {"field": "Kampagne"},
            "cost": {"field": "Kosten", "type": MONEY},
            "share": {"field": "Anteil", "type": SHARE},
            "active": {"field": "Aktiv", "type": "boolean", "true_values": ["WAHR"], "false_values": ["FALSCH"]},
        },
        (
            (
                date(2026, 2, 3),
                datetime(2026, 3, 14, 15, 9, tzinfo=UTC),
                "Größe – neu",
                D("1234.5"),
                D("12.5"),
                True,
            ),
            (date(2026, 11, 25), None, "-", D("-0.5"), None, False),
        ),
        left_out=0,
    ),
    "excel_en": Delivered(
        'Day,Seen,Campaign,Cost,Share,Active\r\n2/3/2026,11/25/2026 3:09 PM,Caf\u00e9,"$1,234.50",12.50%,TRUE\r\n'
        '11/25/2026,,-,"($1,000.25)",#N/A,FALSE\r\n'.encode("cp1252"),
        {
            "day": {"field": "Day", "type": "date"},
            "seen": {"field": "Seen", "type": "timestamp"},
            "campaign": {"field": "Campaign"},
            "cost": {"field": "Cost", "type": MONEY},
            "share": {"field": "Share", "type": SHARE},
            "active": {"field": "Active", "type": "boolean"},
        },
        (
            (date(2026, 2, 3), datetime(2026, 11, 25, 15, 9, tzinfo=UTC), "Café", D("1234.5"), D("12.5"), True),
            (date(2026, 11, 25), None, "-", D("-1000.25"), None, False),
        ),
        left_out=0,
    ),
}


def tried(name: str, delivered: Delivered, tmp_path: Path, **beside: Any) -> Trial:
    file = tmp_path / "file"
    file.write_bytes(delivered.data)
    settings = {
        "columns": delivered.columns,
        "format": {"preset": name, **delivered.format, **beside},
        **delivered.more,
    }
    return try_contract(Contract.model_validate(settings), file, tmp_path / "trial")


def drafted(data: bytes, tmp_path: Path) -> Settled:
    file = tmp_path / "file"
    file.write_bytes(data)
    with Reader() as reader:
        return settled(draft_of(file, reader), file, tmp_path / "trial")


def rows_of(trial: Trial, delivered: Delivered) -> list[tuple[Any, ...]]:
    return [
        tuple(row[name] for name, each in delivered.columns.items() if isinstance(each, str) or not each.get("drop"))
        for row in clean_rows(trial.staged, "dt")
    ]


def test_every_preset_has_a_file() -> None:
    assert sorted(FILES) == sorted(NAMES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_exporter_is_read_to_its_values(name: str, tmp_path: Path) -> None:
    delivered = FILES[name]
    trial = tried(name, delivered, tmp_path)
    assert trial.staged.reasons == {}
    assert rows_of(trial, delivered) == list(delivered.rows)
    assert (trial.staged.left_out, trial.staged.footers) == (delivered.left_out, ())
    assert trial.staged.rows_in == len(delivered.rows) + delivered.left_out


def test_a_file_of_another_locale_is_read_with_its_settings_beside_the_preset(tmp_path: Path) -> None:
    delivered = Delivered(
        "Kampagnenbericht\n1. November 2026 - 2. November 2026\nKampagne\tTag\tKosten\tCTR\n"
        "Marke\t25.11.2026\t1.033,33 €\t2,60 %\nGrün\t26.11.2026\t --\t< 10 %\n"
        "Gesamt: Kampagnen\t --\t1.033,33 €\t2,60 %\n".encode("utf-16"),
        {
            "campaign": {"field": "Kampagne"},
            "day": {"field": "Tag", "type": "date"},
            "cost": {"field": "Kosten", "type": MONEY, "currency": "€"},
            "ctr": {"field": "CTR", "type": SHARE, "special": {"< 10 %": "5"}},
        },
        (
            ("Marke", date(2026, 11, 25), D("1033.33"), D("2.6")),
            ("Grün", date(2026, 11, 26), None, D(5)),
        ),
        left_out=1,
        more={"defaults": {"decimal_comma": True, "thousands": ".", "formats": ["%d.%m.%Y"]}},
    )
    trial = tried("google_ads_excel", delivered, tmp_path, skip_footer={"starts_with": "Gesamt: "})
    assert rows_of(trial, delivered) == list(delivered.rows)
    assert (trial.staged.left_out, trial.staged.reasons) == (1, {})


def test_a_workbook_of_an_exporter_is_read_with_its_kind_beside_the_preset(tmp_path: Path) -> None:
    delivered = Delivered(
        workbook(
            Sheet1=[
                ["Ad group name", "By Day", "Cost", "CTR"],
                ["Spark", "2026-11-01", "1,200.10", "1.25%"],
                ["Spark", "2026-11-02", 3.5, "-"],
                ["Total of 2 results", "-", "1,203.60", "1.24%"],
            ]
        ),
        {
            "ad_group": {"field": "Ad group name"},
            "day": {"field": "By Day", "type": "date"},
            "cost": {"field": "Cost", "type": MONEY},
            "ctr": {"field": "CTR", "type": SHARE},
        },
        (("Spark", date(2026, 11, 1), D("1200.1"), D("1.25")), ("Spark", date(2026, 11, 2), D("3.5"), None)),
        left_out=1,
    )
    trial = tried("tiktok", delivered, tmp_path, kind="xlsx")
    assert rows_of(trial, delivered) == list(delivered.rows)
    assert (trial.staged.left_out, trial.staged.reasons) == (1, {})


def test_records_of_airbyte_that_are_not_expanded_are_members(tmp_path: Path) -> None:
    record = {
        **{"_airbyte_raw_id": "26d73cde", "_airbyte_extracted_at": 1796055580000, "_airbyte_generation_id": 11},
        **{"_airbyte_meta": META, "_airbyte_data": {"user_id": 123, "name": {"first": "John"}}},
    }
    columns = {
        "user_id": {"field": "_airbyte_data.user_id", "type": "bigint"},
        "first": {"field": "_airbyte_data.name.first"},
    }
    delivered = Delivered(json.dumps(record).encode(), columns, ((123, "John"),), left_out=0)
    trial = tried("airbyte", delivered, tmp_path, kind="ndjson")
    assert (rows_of(trial, delivered), trial.staged.reasons) == (list(delivered.rows), {})


def test_without_the_preset_nothing_of_such_a_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    delivered = FILES["google_ads_ui"]
    file = tmp_path / "file"
    file.write_bytes(delivered.data)
    contract = Contract.model_validate({"columns": delivered.columns, "format": {"skip_lines": 2}})
    trial = try_contract(contract, file, tmp_path / "trial")
    assert trial.staged.quarantined
    assert trial.staged.left_out == 0


@pytest.mark.parametrize("name", [name for name in FILES if preset_of(name).looks_like])
def test_a_draft_of_the_exporters_file_names_its_preset_where_that_reads_it(name: str, tmp_path: Path) -> None:
    found = drafted(FILES[name].data, tmp_path)
    assert found.draft.format["preset"][0] == name
    assert found.draft.format.keys() == {"preset"}
    by_condition = "skip_rows_where" in FILES[name].more
    left = by_condition and "skip_rows_where" not in found.draft.others
    assert (found.trial.staged.quarantined, found.trial.staged.clean) == (0, len(FILES[name].rows) + left)
    [entry] = yaml.safe_load(written := feed_yaml(found.draft, "spend", date(2026, 1, 1)))
    assert Feed.model_validate(entry).contract == found.trial.contract
    assert not by_condition or "skip_rows_where" in written, "what is left to say is said"
    assert not any({"thousands", "percent", "trim"} & column.settings.keys() for column in found.draft.columns)


def test_what_numbers_leave_open_is_known_by_whose_file_it_is(tmp_path: Path) -> None:
    rule = f"# {'-' * 40}\n"
    lines = f'{rule}# Pages\n# 20261101-20261130\n{rule}\nWidth,Views\n1920,"3,505"\n1440,725\n,4230\n'
    found = drafted(lines.encode(), tmp_path)
    assert found.draft.format["preset"][0] == "ga4"
    assert found.draft.columns[1].settings == {"field": "Views", "type": "bigint"}
    [_, views] = drafted(lines.split("\n\n")[1].encode(), tmp_path).draft.columns
    assert views.settings == {"field": "Views", "type": "string"}
    assert "its comma may be decimal" in views.why


@pytest.mark.parametrize(
    "text",
    [
        "# made by x\nPage,Views\n/a,1\n/b,2\n",
        "id;Day;amount\n1;2026-01-01;2\n2;2026-01-02;3\n",
        "Cost,Day\n1,2\n3,4\n",
    ],
    ids=["comment", "semicolons", "plain"],
)
def test_a_draft_of_any_other_file_names_no_preset(text: str, tmp_path: Path) -> None:
    assert "preset" not in drafted(text.encode(), tmp_path).draft.format


def test_a_draft_names_no_preset_by_which_the_file_is_not_read(tmp_path: Path) -> None:
    text = "\n".join(map(comma, GOOGLE_LINES)).replace("2.60%", "2,60 %").replace(",", ";")
    found = drafted(text.encode(), tmp_path)
    assert "preset" not in found.draft.format
    assert found.trial.staged.clean
