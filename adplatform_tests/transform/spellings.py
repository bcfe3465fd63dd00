"""Texts that exporters write, with what each means under settings of a column. Nothing here reads a text."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

BAD = object()
"""The text breaks the contract."""
Table = tuple[Mapping[str, Any], Sequence[tuple[str | None, Any]]]

D = Decimal
_T = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
_DAY = date(2026, 3, 14)
_GERMAN: Mapping[str, Any] = {"type": "decimal(12,2)", "thousands": ".", "decimal_comma": True}


def bad(*texts: str) -> list[tuple[str, Any]]:
    return [(text, BAD) for text in texts]


TABLES: dict[str, Table] = {
    "groups with commas": (
        {"type": "decimal(12,2)", "thousands": ","},
        [
            *((None, None), ("", None), ("1,234.5", D("1234.50")), ("1234.50", D("1234.50"))),
            *(("-12,345,678", D(-12345678)), ("+1,000.", D(1000)), (".5", D("0.50")), ("1E2", D(100))),
            *(("\u22125", D(-5)), ("\u22121,000.25", D("-1000.25")), ("-1e2", D(-100))),
            *bad(
                "\u22121e2",
                "12,34",
                "0,123",
                "00,123",
                "1,2345",
                "1234,567",
                "1,234,56",
                ",123",
                "1,",
                "1,,234",
                "1,234E1",
            ),
            *bad("1,234 ", " 1", "1 234", "1.234,5", "5%", "(5)", "5-", "--5", "1,234.567", "1.2.3", "٣", "1,234\n"),
        ],
    ),
    "groups with points": (
        _GERMAN,
        [
            *(("1.234,50", D("1234.50")), ("1.234", D(1234)), ("1234,5", D("1234.50")), ("-1.000.000", D(-1000000))),
            *((",5", D("0.50")), ("5,", D(5)), ("1,25e1", D("12.50"))),
            *bad("1.5", "1.23", "0.05", "1,234.5", "1,2,3", "1.5e1", "1.234.5", "."),
        ],
    ),
    "whole numbers with points": (
        {"type": "int", "thousands": "."},
        [
            *(("1.234", 1234), ("1.000", 1000), ("-2.147.483.648", -(2**31)), ("5,0", 5), ("5,", 5), ("7", 7)),
            *bad("2.147.483.648", "5.0", "1.00", "5,1", "1e3", ",0", "0.000"),
        ],
    ),
    "groups with blanks": (
        {"type": "double", "thousands": " ", "decimal_comma": True},
        [
            *(("1 234,5", 1234.5), ("1\u00a0234", 1234.0), ("1\u202f234\u00a0567", 1234567.0), ("1,5E3", 1500.0)),
            *bad("1  234", " 1", "1 ", "12 34", "1\u2009234", "1.5", "1e999"),
        ],
    ),
    "groups with apostrophes": (
        {"type": "bigint", "thousands": "'"},
        [("1'234", 1234), ("9\u2019223'372'036'854'775'807", 2**63 - 1), *bad("9'223'372'036'854'775'808", "''1")],
    ),
    "a currency": (
        {**_GERMAN, "currency": ["€", "EUR", "kr."]},
        [
            *(
                (text, D("1234.50"))
                for text in ("1.234,50 €", "1.234,50€", "€1.234,5", "EUR\u00a01.234,50", "+€1234,5")
            ),
            *((text, D(-5)) for text in ("-5 €", "-€5", "- € 5", "€ -5", "€-5", "\u2212EUR 5", "EUR\u22125", "-kr.5")),
            *(("5 EUR", D(5)), ("€5 EUR", D(5)), ("kr. 5", D(5)), ("5\tkr.", D(5)), ("5", D(5)), ("5,25", D("5.25"))),
            *bad("€", "5 USD", "5 eur", "5-", "(5)", "5 €-", "-€-5", "€ - 5", "€,5", "- 5", "€€5", "E5", "5 kr", "5%"),
        ],
    ),
    "symbols of a currency": (
        {"type": "decimal(9,2)", "thousands": ",", "currency": ["$", "US$"], "negative": "parentheses"},
        [
            *(("$.50", D("0.50")), ("US$1,000", D(1000)), ("$ 5", D(5)), ("-$5", D(-5)), ("($1,000.5)", D("-1000.50"))),
            *(("$(5)", D(-5)), ("(5) $", D(-5)), ("( 5 )", D(-5)), ("(0)", D(0)), ("(US$ .5)", D("-0.50"))),
            *bad("(-5)", "-(5)", "(5", "5)", "((5))", "()", "(5)-", "5-", "($)", "$$5", "(5,00)"),
        ],
    ),
    "a currency with a point": (
        {"type": "decimal(9,2)", "currency": ["Rs", "kr."]},
        [
            ("kr. 5", D(5)),
            ("kr.5.25", D("5.25")),
            ("5 kr.", D(5)),
            ("Rs 0.5", D("0.50")),
            *bad("Rs.5", "Rs .5", "kr..5"),
        ],
    ),
    "a minus behind": (
        {"type": "int", "negative": ["trailing_minus", "parentheses"], "currency": "EUR"},
        [
            *(
                ("5-", -5),
                ("5\u2212", -5),
                ("5- EUR", -5),
                ("5 EUR-", -5),
                ("5 EUR -", -5),
                ("EUR 5-", -5),
                ("(5)", -5),
            ),
            *(("-5", -5), ("+5", 5), ("5", 5), ("5.0-", -5)),
            *bad("-5-", "5--", "5+", "(5-)", "5 -", "-"),
        ],
    ),
    "percent as points": (
        {"type": "decimal(9,4)", "percent": "points", "currency": "$"},
        [
            *(("12.5%", D("12.5000")), ("12.5 %", D("12.5000")), ("12.5", D("12.5000")), ("-3\u00a0%", D(-3))),
            *((".5%", D("0.5000")), ("$3", D(3))),
            *bad("%", "12%%", "$3%", "%5", "12.5 percent", "1e1%"),
        ],
    ),
    "percent as a fraction": (
        {"type": "decimal(9,4)", "percent": "fraction", "negative": "parentheses"},
        [
            *(("12.5%", D("0.1250")), ("12.55 %", D("0.1255")), (".5%", D("0.0050")), ("5.%", D("0.0500"))),
            *(("-3%", D("-0.0300")), ("100%", D(1)), ("(5%)", D("-0.0500")), ("(5)%", D("-0.0500")), ("0%", D(0))),
            *bad("12.5", "12.555%", "1e2%", "10000000%", "(5%)%", "5%%"),
        ],
    ),
    "fractions in double": (
        {"type": "double", "percent": "fraction", "thousands": ","},
        [("12.5%", 0.125), ("7%", 0.07), ("1,234.5%", 12.345), ("-0.1%", -0.001), *bad("0.5", "%", "1e999%")],
    ),
    "special texts": (
        {**_GERMAN, "special": {"--": None, "< 10%": 0.05, "n/a": "-1.5"}, "null_values": ["-"], "trim": True},
        [
            *(("--", None), (" -- ", None), ("< 10%", D("0.05")), ("\t< 10%\u00a0", D("0.05")), ("n/a", D("-1.50"))),
            *((" - ", None), ("   ", None), ("\u00a05\u202f", D(5)), (" 1.234,5 ", D("1234.50"))),
            *bad("---", "<10%", "0.05", "N/A", "\u20095"),
        ],
    ),
    "special texts beside a decimal comma": (
        {"type": "double", "decimal_comma": True, "special": {"low": "0.05"}},
        [("low", 0.05), ("0,5", 0.5), *bad("0.5", "Low", "lower")],
    ),
    "trimmed texts": (
        {"trim": True, "special": {"(not set)": None, "n.v.": "none"}, "allowed": ["a", "a b", "none"]},
        [
            *((" a ", "a"), ("\ta b\u00a0", "a b"), ("a", "a"), ("", None), (" \t\u00a0", None), (" n.v.", "none")),
            *(("(not set)", None), *bad("A", "(not set", "a\n")),
        ],
    ),
    "trimmed booleans": (
        {"type": "boolean", "trim": True, "true_values": ["yes", "1"], "false_values": ["no"], "special": {"?": "no"}},
        [(" yes ", True), ("no\t", False), ("?", False), ("  ", None), *bad("true", "YES", "y es")],
    ),
    "years": (
        {"type": "date", "formats": ["%d.%m.%Y", "%Y%m%d"]},
        [
            *(("0001-01-01", date(1, 1, 1)), ("0010-01-01", date(10, 1, 1)), ("0100-01-01", date(100, 1, 1))),
            *(("1000-01-01", date(1000, 1, 1)), ("2000-01-01", date(2000, 1, 1)), ("9999-12-31", date(9999, 12, 31))),
            *(("01.01.0001", date(1, 1, 1)), ("20100101", date(2010, 1, 1)), ("20000101", date(2000, 1, 1))),
            *bad("0000-01-01", "0000-00-00", "2000-00-01", "2000-01-00", "01.01.0000", "00000101", "00.00.0000"),
            *bad("0000-01-01 00:00:00", "10000-01-01", "-001-01-01"),
        ],
    ),
    "years of timestamps": (
        {"type": "timestamp", "formats": ["epoch_seconds", "%d.%m.%Y %H:%M"]},
        [
            *(("0001-01-01 00:00:00", datetime(1, 1, 1, tzinfo=UTC)), ("-62135596800", datetime(1, 1, 1, tzinfo=UTC))),
            *(("0", datetime(1970, 1, 1, tzinfo=UTC)), ("-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC))),
            *bad("0000-12-31 23:59:59", "0000-00-00 00:00:00", "-62135596801", "01.01.0000 10:00"),
        ],
    ),
    "trimmed dates": (
        {"type": "date", "trim": True, "special": {"never": "9999-12-31", "-": None}},
        [(" 2026-03-14\t", _DAY), ("never", date(9999, 12, 31)), ("-", None), ("", None), *bad("2026-03 -14")],
    ),
    "dates with names": (
        {"type": "date", "formats": ["%b %d, %Y", "%d-%b-%Y", "%d%b%Y", "%B %d %Y at %I:%M %p", "%d %b. %y"]},
        [
            *(("Mar 14, 2026", _DAY), ("MARCH 14, 2026", _DAY), ("mar. 14, 2026", _DAY), ("14-Mar-2026", _DAY)),
            *(("14MAR2026", _DAY), ("14mar.2026", _DAY), ("March 14 2026 at 12:00 AM", _DAY), ("14 mar. 26", _DAY)),
            *(("Sept 3, 2026", date(2026, 9, 3)), ("3-Feb-2026", date(2026, 2, 3)), ("2026-03-14", _DAY)),
            *bad(
                "Mrz 14, 2026", "Feb 30, 2026", "Mar 14 2026", "Mar  14, 2026", "3mar2026", "March 14 2026 at 12:00 PM"
            ),
            *bad(
                "March 14 2026 at 1:00 AM", "Mar.. 14, 2026", "14 mar 26", "14-Mar-26", "Mar 14, 2026\n", "Mar 0, 2026"
            ),
        ],
    ),
    "dates in German": (
        {"type": "date", "formats": ["%d. %b %Y", "%d.%b.%Y", "%d. %B"[:6] + " '%y"], "months": "de"},
        [
            *((text, _DAY) for text in ("14. März 2026", "14. MÄRZ 2026", "14. Mrz. 2026", "14. maerz 2026")),
            *(("14. mär 2026", _DAY), ("14.Mar.2026", _DAY), ("14.März.2026", _DAY), ("14. Mrz '26", _DAY)),
            *(("1. Dez. 2026", date(2026, 12, 1)), ("1. Jänner 2026", date(2026, 1, 1))),
            *bad("14. March 2026", "14 März 2026", "14. März. 26", "1. Dec 2026"),
        ],
    ),
    "dates in Spanish": (
        {"type": "date", "formats": ["%d de %B de %Y"], "months": "es"},
        [("14 de marzo de 2026", _DAY), ("14 De MARZO de 2026", _DAY), *bad("14 marzo 2026", "14 de märz de 2026")],
    ),
    "dates in French": (
        {"type": "date", "formats": ["%d %b %Y"], "months": "fr"},
        [
            *(("14 mars 2026", _DAY), ("1 févr. 2026", date(2026, 2, 1)), ("1 FÉVRIER 2026", date(2026, 2, 1))),
            *(("1 aout 2026", date(2026, 8, 1)), ("1 déc. 2026", date(2026, 12, 1)), *bad("1 mar.s 2026")),
        ],
    ),
    "dates in Turkish": (
        {"type": "date", "formats": ["%d %B %Y"], "months": "tr"},
        [
            *(("3 KASIM 2026", date(2026, 11, 3)), ("3 kasım 2026", date(2026, 11, 3))),
            *(("3 NİSAN 2026", date(2026, 4, 3)), ("3 Şubat 2026", date(2026, 2, 3))),
        ],
    ),
    "two digits of a year": (
        {"type": "date", "formats": ["%d.%m.%y", "%m/%d/%y", "%y%m%d", "%m/%d/%Y %H:%M:%S"]},
        [
            *(("14.03.26", _DAY), ("14.3.26", _DAY), ("3/14/26", _DAY), ("260314", _DAY), ("3/14/2026 0:00:00", _DAY)),
            *(("1.1.69", date(1969, 1, 1)), ("1.1.68", date(2068, 1, 1)), ("991231", date(1999, 12, 31))),
            *bad("14.03.2026", "3/14/2026", "29.2.26", "14/3/26", "03/14/2026 00:00:01", "260230"),
        ],
    ),
    "times": (
        {
            "type": "timestamp",
            "formats": [
                *("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%dT%H:%M%z", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d"),
                *("%b %d, %Y, %I%p", "%d/%b/%Y:%H:%M:%S %z", "%Y/%m/%d %H:%M:%S.%f", "%Y%m%dT%H%M%SZ"),
            ],
        },
        [
            *((f"2026-03-14 15:09:26 {zone}", _T) for zone in ("UTC", "GMT", "Z", "+00", "+0000", "+00:00")),
            *(("2026-03-14 07:09:26 -08", _T), ("2026-03-14 20:39:26 +0530", _T), ("2026-03-14 20:39:26+05:30", _T)),
            *(("2026-03-14T15:09Z", _T.replace(second=0)), ("2026-03-14T15:09UTC", _T.replace(second=0))),
            *(("14.3.2026 15:09", _T.replace(second=0)), ("14.3.2026 9:05", datetime(2026, 3, 14, 9, 5, tzinfo=UTC))),
            *(("3/14/2026 3:09:26 PM", _T), ("03/14/2026 03:09:26 pm", _T), ("20260314T150926Z", _T)),
            *(("20260314", datetime(2026, 3, 14, tzinfo=UTC)), ("14/Mar/2026:10:09:26 -0500", _T)),
            *(
                ("Mar 14, 2026, 12AM", datetime(2026, 3, 14, tzinfo=UTC)),
                ("Mar. 14, 2026, 3pm", _T.replace(minute=0, second=0)),
            ),
            *(("Mar 14, 2026, 12PM", datetime(2026, 3, 14, 12, tzinfo=UTC)),),
            *(("2026/03/14 15:09:26.5", _T + timedelta(milliseconds=500)),),
            *(("2026/03/14 15:09:26.000001", _T + timedelta(microseconds=1)),),
            *bad("2026-03-14 15:09:26 CET", "2026-03-14 15:09:26 +15", "2026-03-14 15:09:26 utc", "14.3.2026 24:00"),
            *bad("3/14/2026 13:09:26 PM", "3/14/2026 0:09:26 AM", "3/14/2026 3:09:26", "Mar 14, 2026, 3", "14.3.2026"),
            *bad("31.2.2026 00:00", "2026/03/14 15:09:26.", "2026/03/14 15:09:26.1234567", "20260314T150926", "15:09"),
        ],
    ),
    "a time zone": (
        {"type": "timestamp", "timezone": "Europe/Berlin", "formats": ["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M %z"]},
        [
            *(("2026-03-14 16:09:26", _T), ("2026-03-14T16:09:26.5", _T + timedelta(milliseconds=500))),
            *(("2026-03-14T15:09:26Z", _T), ("2026-03-14T15:09:26+00:00", _T), ("2026-03-14 16:09:26+01", _T)),
            *(("14.03.2026 16:09", _T.replace(second=0)), ("14.03.2026 15:09 UTC", _T.replace(second=0))),
            *(("2026-07-01 12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),),
            *(("2026-03-29 01:59:59", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),),
            *(("2026-03-29 03:00:00", datetime(2026, 3, 29, 1, tzinfo=UTC)),),
            *(("2026-10-25 01:59:59", datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)),),
            *(("2026-10-25 02:00:00", datetime(2026, 10, 25, 0, tzinfo=UTC)),),
            *(("25.10.2026 02:59", datetime(2026, 10, 25, 0, 59, tzinfo=UTC)),),
            *(("2026-10-25 03:00:00", datetime(2026, 10, 25, 2, tzinfo=UTC)),),
            *(("9999-12-31 23:59:59", datetime(9999, 12, 31, 22, 59, 59, tzinfo=UTC)),),
            *(
                ("", None),
                *bad("2026-03-29 02:00:00", "2026-03-29T02:59:59.999", "29.03.2026 02:30", "2026-02-30 00:00:00"),
            ),
        ],
    ),
    "a time zone of half an hour": (
        {"type": "timestamp", "timezone": "Australia/Lord_Howe", "trim": True},
        [
            *((" 2026-04-05 01:45:00", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),),
            *(("2026-04-05 02:00:00 ", datetime(2026, 4, 4, 15, 30, tzinfo=UTC)), *bad("2026-10-04 02:15:00")),
        ],
    ),
    "a day that a zone left out": (
        {"type": "timestamp", "timezone": "Pacific/Apia"},
        [
            *(("2011-12-29 12:00:00", datetime(2011, 12, 29, 22, tzinfo=UTC)),),
            *(("2011-12-31 12:00:00", datetime(2011, 12, 30, 22, tzinfo=UTC)), *bad("2011-12-30 12:00:00")),
        ],
    ),
}
