"""Deliveries made together with the truth about them.

Every row is drawn from palettes that state a text and what it means, so nothing here parses, casts, sorts or hashes the
way the engines do. The generator knows where each byte goes, because it puts it there.
"""

import hashlib
import hmac
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.privacy.keys import HashKey

SECRET = hashlib.sha256(b"a key for tests").digest()
KEY = HashKey("test-key", SECRET)
DELIVERY_DATE = date(2026, 3, 14)


def contract(partition_by: str | None = "dt", **settings: Any) -> Contract:
    columns = {
        "day": {"type": "date", "required": True, "formats": ["%d.%m.%Y", "%Y%m%d"]},
        "account": {"type": "bigint", "required": True},
        "ad": {"field": "Ad ID", "required": True},
        "device": {"allowed": ["mobile", "desktop", "tv"]},
        "updated": {"type": "timestamp", "formats": ["epoch_millis", "%m/%d/%Y %H:%M:%S"]},
        "impressions": {"type": "int", "min": 0, "max": 2000000000},
        "clicks": "bigint",
        "cost": "decimal(18,6)",
        "spend": {"type": "decimal(12,2)", "decimal_comma": True},
        "rate": "double",
        "active": {"type": "boolean", "true_values": ["true", "Y"], "false_values": ["false", "N"]},
        "note": "string",
        "code": {"pattern": "[A-Z]{2}[0-9]{3}"},
        "email": {"pii": {"kind": "email", "treatment": ["lake", "meta"]}},
        "phone": {"pii": {"kind": "phone", "country": "US"}},
        "secret": {"drop": True},
        "gross": {"type": "decimal(20,6)", "expression": "cost + 1"},
    }
    return Contract.model_validate(
        {
            "columns": columns,
            "format": {"null_values": ["N/A"]},
            "key": ["day", "account", "ad"],
            "latest_by": "updated",
            "partition_by": partition_by,
            "row_checks": [{"name": "clicked_less_than_shown", "expression": "clicks <= impressions"}],
            **settings,
        }
    )


HEADERS = [column.field_name for column in contract().read_columns]
NULL = object()
"""A cell without quotes and without text."""
ABSENT = [(NULL, None), ("N/A", None)]
EMPTY = [*ABSENT, ("", None)]
"""For columns that are not text, quoted emptiness is no value either."""

_T = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
DAYS = [
    ("2026-03-13", date(2026, 3, 13)),
    ("14.03.2026", date(2026, 3, 14)),
    ("14.3.2026", date(2026, 3, 14)),
    ("20260315", date(2026, 3, 15)),
    ("2024-02-29", date(2024, 2, 29)),
    ("2026-03-14 00:00:00", date(2026, 3, 14)),
    ("2026-03-13T00:00:00.000Z", date(2026, 3, 13)),
]
UPDATES = [
    *EMPTY,
    ("2026-03-14T15:09:26Z", _T),
    ("2026-03-14 15:09:26", _T),
    ("2026-03-14T17:09:26+02:00", _T),
    ("2026-03-14T09:39:26-05:30", _T),
    ("2026-03-14T15:09:26.000+0000", _T),
    ("2026-03-14 15:09:26+00", _T),
    ("2026-03-14 20:09:26.5+05", _T + timedelta(milliseconds=500)),
    ("2026-03-14T12:09:26-03", _T),
    ("1773500966000", _T),
    ("03/14/2026 15:09:26", _T),
    ("2026-03-14T15:09:26.5Z", _T + timedelta(milliseconds=500)),
    ("2026-03-14T15:09:26.123456789Z", _T + timedelta(microseconds=123456)),
    ("2026-03-15T00:00:00+14:00", datetime(2026, 3, 14, 10, tzinfo=UTC)),
]
GOOD: dict[str, list[tuple[Any, Any]]] = {
    "day": DAYS,
    "account": [
        ("1", 1),
        ("+2", 2),
        ("0003", 3),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775806.00", 2**63 - 2),
    ],
    "ad": [(name, name) for name in ("a-1", "a-2", " a-1", "A-1", "", "广告", "a;1")],
    "device": [*ABSENT, ("mobile", "mobile"), ("desktop", "desktop"), ("tv", "tv")],
    "updated": UPDATES,
    "impressions": [*EMPTY, ("0", 0), ("-0", 0), ("7", 7), ("+12", 12), ("5.", 5), ("2000000000", 2_000_000_000)],
    "clicks": [*EMPTY, ("0", 0), ("-3", -3)],
    "cost": [
        *EMPTY,
        ("1.5", Decimal("1.500000")),
        ("-0.000001", Decimal("-0.000001")),
        ("+007", Decimal("7.000000")),
        ("999999999999.999999", Decimal("999999999999.999999")),
        ("0.10000000000", Decimal("0.100000")),
        (".5", Decimal("0.500000")),
        ("-5.", Decimal("-5.000000")),
        ("1E-05", Decimal("0.000010")),
        ("-2.50e+2", Decimal("-250.000000")),
        ("1e3", Decimal("1000.000000")),
        ("999999999999e0", Decimal("999999999999.000000")),
    ],
    "spend": [
        *EMPTY,
        ("1234,5", Decimal("1234.50")),
        ("-7", Decimal("-7.00")),
        ("0,01", Decimal("0.01")),
        (",5", Decimal("0.50")),
        ("1,25e1", Decimal("12.50")),
    ],
    "rate": [
        *EMPTY,
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("1.7976931348623157E308", 1.7976931348623157e308),
    ],
    "active": [*EMPTY, ("true", True), ("Y", True), ("false", False), ("N", False)],
    "note": [
        *ABSENT,
        *(
            (n, n)
            for n in ("", "plain", 'say "hi", twice', "two\nlines", "win\r\nlines", "促销 🚀 Ñandú", "nul\x00byte")
        ),
        *((n, n) for n in (" padded ", "\ttab", "null", "NULL", "\\", "it's", "\u00a0", "a;b", '"', ",")),
    ],
    "code": [*ABSENT, ("AB123", "AB123"), ("ZZ000", "ZZ000")],
    "email": [
        *ABSENT,
        ("User@Example.COM", "user@example.com"),
        ("  user@example.com ", "user@example.com"),
        ("\u00a0user@example.com\u00a0", "user@example.com"),
        ("İ@example.com", "İ@example.com"),
        ("nobody", None),
        ("", None),
    ],
    "phone": [
        *ABSENT,
        ("(212) 555-0123", "+12125550123"),
        ("+1 212 555 0123", "+12125550123"),
        ("+44 20 7946 0958", "+442079460958"),
        ("12", None),
    ],
    "secret": [*ABSENT, ("do not store", "do not store")],
}
_INTEGERS = [
    "1.5",
    "1e3",
    "1_000",
    "0x1F",
    "--5",
    " 5",
    "5 ",
    "5\n",
    "5.01",
    ".0",
    "٣",
    "NaN",
    "1,000",
    "9" * 40,
    "true",
]
BAD: dict[str, list[tuple[str, str]]] = {
    "day": [
        (text, "bad_date")
        for text in (
            "2026-02-30",
            "2025-02-29",
            "2026-13-01",
            "2026-1-1",
            "31.04.2026",
            "20260230",
            "today",
            "2026-03-14 ",
            "2026-03-14 00:00:01",
            "2026-03-14T00:00:00+01:00",
            "2026-02-30 00:00:00",
        )
    ],
    "account": [*((text, "bad_bigint") for text in _INTEGERS), ("9223372036854775808", "bad_bigint")],
    "device": [("fridge", "not_allowed"), ("Mobile", "not_allowed"), ("", "not_allowed")],
    "updated": [
        (text, "bad_timestamp")
        for text in (
            *(
                "2026-03-14",
                "2026-03-14T24:00:00Z",
                "2026-03-14T15:60:00Z",
                "2026-02-30T00:00:00Z",
                "yesterday",
                "10:11",
            ),
            *("2026-03-14T15:09:26+15:00", "2026-03-14T15:09:26.Z", "1773500966000.5", "13/14/2026 00:00:00"),
        )
    ],
    "impressions": [
        *((text, "bad_int") for text in (*_INTEGERS, "2147483648", "-2147483649")),
        ("-1", "below_min"),
        ("2000000001", "above_max"),
    ],
    "cost": [
        (text, "bad_decimal")
        for text in (
            "1e12",
            "1E-07",
            "1e",
            "1e-100",
            "1_000",
            "NaN",
            "Infinity",
            "1,5",
            "1000000000000",
            "0.0000001",
            ".",
            "12.5.3",
            "0x1F",
            "1.5\n",
        )
    ],
    "spend": [(text, "bad_decimal") for text in ("1.5", "1.234,56", "0,001", "12345678901", ",", "1.5e1", "1e-3")],
    "rate": [(text, "bad_double") for text in ("inf", "NaN", "1e999", "1d", "0x1p3", ".", "1e", "1 ", "1.8e308")],
    "active": [(text, "bad_boolean") for text in ("TRUE", "true ", "1", "yes", "t")],
    "code": [(text, "pattern") for text in ("AB12", "AB1234", "ab123", "xAB123", "AB123\n", "", "AB12٣")],
}
_REQUIRED = ("day", "account", "ad")
GOOD_PARTITIONS = ["a-1", " a-1", "A-1", "广告", "a;1", "tab\tbed", "100 %", "x" * 512, "é" * 256, "/" * 170 + "xy"]
"""Texts that may name a partition: 512 bytes of UTF-8, escaped as in a path, are the most."""
BAD_PARTITIONS = [
    *("", "__HIVE_DEFAULT_PARTITION__", "two\nlines", "nul\x00byte", "\x1f", "del\x7f", "next\u0085line", "\ufffe"),
    *("x" * 513, "é" * 257, "é" * 400, "/" * 170 + "xyz", "广" * 171),
]


@dataclass
class Delivery:
    """Files on disk and what must come out of them. ``clean`` rows hold ``day`` even where the path carries it."""

    contract: Contract
    files: list[InputFile] = field(default_factory=list)
    clean: list[dict[str, Any]] = field(default_factory=list)
    bad: list[tuple[str, frozenset[str], dict[str, str | None]]] = field(default_factory=list)
    structural: list[tuple[str, int, int, tuple[str, ...], str]] = field(default_factory=list)
    counts: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    @property
    def reasons(self) -> Counter[str]:
        return Counter(r for _, reasons, _ in self.bad for r in reasons) + Counter(
            r for s in self.structural for r in s[3]
        )


@dataclass(frozen=True)
class _Palettes:
    """What cells are drawn from: per column, texts with their meaning, and texts with the reason against them."""

    good: dict[str, list[tuple[Any, Any]]]
    bad: dict[str, list[tuple[str, str]]]


def _palettes(partition_by: str | None) -> _Palettes:
    """A column of text that names partitions may hold less than another."""
    if partition_by != "ad":
        return _Palettes(GOOD, BAD)
    return _Palettes(
        GOOD | {"ad": [(value, value) for value in GOOD_PARTITIONS]},
        BAD | {"ad": [(value, "bad_partition") for value in BAD_PARTITIONS]},
    )


@dataclass
class _Good:
    file: int
    order: int
    values: dict[str, Any]


def make(
    directory: Path, seed: int, partition_by: str | None = "dt", rows: int = 400, structural: bool = True
) -> Delivery:
    """Three files: plain; CRLF with a byte order mark and reordered columns; blank lines and no final line end."""
    draw = random.Random(seed)
    delivery = Delivery(contract(partition_by))
    palettes = _palettes(partition_by)
    good: list[_Good] = []
    directory.mkdir(parents=True, exist_ok=True)
    for ordinal in range(3):
        columns = list(HEADERS)
        if ordinal == 1:
            draw.shuffle(columns)
        file = _File(draw, columns, b"\r\n" if ordinal == 1 else b"\n", bom=ordinal == 1)
        origin = f"s3://raw/ads/part-{ordinal}.csv"
        for _ in range(rows):
            kind = draw.random()
            if ordinal == 2 and kind < 0.05:
                file.put(b"")
            elif kind < 0.12 and structural:
                _structural(draw, palettes, file, delivery, origin)
            elif kind < 0.3:
                _bad_row(draw, palettes, file, delivery, origin)
            else:
                cells, values = _good_row(draw, palettes)
                file.row(cells)
                good.append(_Good(ordinal, len(good), values))
        if ordinal == 2 and structural:
            _unterminated(file, delivery, origin)
        path = directory / f"part [{ordinal}]*.csv"
        path.write_bytes(bytes(file.content) if ordinal != 2 else bytes(file.content).rstrip(b"\n"))
        delivery.files.append(InputFile(path, origin, ordinal))
    _settle(delivery, good)
    return delivery


class _File:
    def __init__(self, draw: random.Random, columns: list[str], end: bytes, bom: bool) -> None:
        self.draw, self.columns, self.end = draw, columns, end
        self.content = bytearray(b"\xef\xbb\xbf" if bom else b"")
        self.put(",".join(columns).encode())

    def put(self, line: bytes) -> tuple[int, int]:
        """Write a line; its number from 1 and its position."""
        position = len(self.content)
        self.content += line + self.end
        return self.content[:position].count(b"\n") + 1, position

    def line(self, cells: dict[str, Any]) -> bytes:
        return ",".join(self._cell(cells[name]) for name in self.columns).encode()

    def row(self, cells: dict[str, Any]) -> None:
        self.put(self.line(cells))

    def _cell(self, text: Any) -> str:
        if text is NULL:
            return ""
        if text == "" or any(c in text for c in ',"\r\n') or self.draw.random() < 0.2:
            return '"' + text.replace('"', '""') + '"'
        return str(text)


def _good_row(draw: random.Random, palettes: _Palettes) -> tuple[dict[str, Any], dict[str, Any]]:
    drawn = {name: draw.choice(palette) for name, palette in palettes.good.items()}
    if drawn["impressions"][1] is not None and drawn["clicks"][1] is not None:
        drawn["clicks"] = draw.choice([("-3", -3), (str(drawn["impressions"][1]), drawn["impressions"][1])])
    cells = {_header(name): cell for name, (cell, _) in drawn.items()}
    return cells, {name: value for name, (_, value) in drawn.items()}


def _bad_row(draw: random.Random, palettes: _Palettes, file: _File, delivery: Delivery, origin: str) -> None:
    cells, _ = _good_row(draw, palettes)
    reasons = set()
    for name in draw.sample(sorted(palettes.bad), draw.randint(0, 2)):
        text, reason = draw.choice(palettes.bad[name])
        cells[_header(name)] = text
        reasons.add(f"{reason}:{name}")
    if draw.random() < 0.3 or not reasons:
        name = draw.choice(_REQUIRED)
        cells[_header(name)] = draw.choice(ABSENT)[0]
        reasons = {r for r in reasons if not r.endswith(f":{name}")} | {f"required:{name}"}
    if draw.random() < 0.2 and not any(r.endswith((":clicks", ":impressions")) for r in reasons):
        cells["impressions"], cells["clicks"] = "7", "8"
        reasons.add("check:clicked_less_than_shown")
    file.row(cells)
    fields = {
        c.name: None if cells[c.field_name] is NULL else cells[c.field_name] for c in delivery.contract.read_columns
    }
    below = cells["impressions"] == "-1" and isinstance(cells["clicks"], str) and cells["clicks"].lstrip("-").isdigit()
    if below and int(cells["clicks"]) > -1:
        reasons.add("check:clicked_less_than_shown")
    delivery.bad.append((origin, frozenset(reasons), fields))


def _structural(draw: random.Random, palettes: _Palettes, file: _File, delivery: Delivery, origin: str) -> None:
    cells, _ = _good_row(draw, palettes)
    line, reason = file.line(cells), "column_count"
    match draw.randrange(4):
        case 0:
            line = b"1,2"
        case 1:
            line += b",one,more"
        case 2:
            line, reason = file.line(cells | {"note": "BROKEN"}).replace(b"BROKEN", b"\xff\xfe"), "invalid_encoding"
        case 3:
            line, reason = b'x,"un"quoted,' + line, "unterminated_quote"
    number, position = file.put(line)
    raw = line.decode("utf-8", errors="surrogateescape")
    shown = "".join("?" if "\udc80" <= c <= "\udcff" else c for c in raw)
    delivery.structural.append((origin, number, position, (reason,), shown))
    _swallowed(delivery, origin, number, position, line)


def _swallowed(delivery: Delivery, origin: str, number: int, position: int, record: bytes) -> None:
    """Each line of a record that cannot be split counts; the first is the record's own."""
    for line in record.splitlines(keepends=True)[:-1]:
        number, position, record = number + 1, position + len(line), record.removeprefix(line)
        text = record.splitlines()[0].decode()
        delivery.structural.append((origin, number, position, ("swallowed_line",), text))


def _unterminated(file: _File, delivery: Delivery, origin: str) -> None:
    number, position = file.put(b'2026-03-14,1,"never ends')
    file.put(b"2026-03-14,1,swallowed")
    raw = bytes(file.content[position:]).decode().rstrip("\n")
    delivery.structural.append((origin, number, position, ("unterminated_quote",), raw))
    _swallowed(delivery, origin, number, position, raw.encode())


def _settle(delivery: Delivery, good: list[_Good]) -> None:
    latest: dict[tuple[Any, ...], _Good] = {}
    for row in good:
        key = tuple(row.values[name] for name in ("day", "account", "ad"))
        if key not in latest or _rank(row) > _rank(latest[key]):
            latest[key] = row
    for file in delivery.files:
        bad = sum(1 for b in delivery.bad if b[0] == file.origin) + sum(
            1 for s in delivery.structural if s[0] == file.origin
        )
        rows = [row for row in good if row.file == file.ordinal]
        clean = [row for row in latest.values() if row.file == file.ordinal]
        delivery.counts[file.origin] = (len(rows) + bad, len(clean), len(rows) - len(clean), bad)
        delivery.clean.extend(_output(row, file.origin) for row in clean)


def _rank(row: _Good) -> tuple[bool, datetime, int, int]:
    updated = row.values["updated"]
    return updated is not None, updated or _T, row.file, row.order


def _output(row: _Good, origin: str) -> dict[str, Any]:
    values = dict(row.values)
    email, phone = values.pop("email"), values.pop("phone")
    del values["secret"]
    values["email_lake"] = None if email is None else hmac.new(SECRET, email.encode(), "sha256").hexdigest()
    values["email_meta"] = META[email]
    values["phone_lake"] = None if phone is None else hmac.new(SECRET, phone.encode(), "sha256").hexdigest()
    values["gross"] = None if values["cost"] is None else values["cost"] + 1
    values["_source_file"], values["_pii_key_id"] = origin, "test-key"
    return values


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


META = {
    None: None,
    "user@example.com": _sha256("user@example.com"),
    "İ@example.com": _sha256("i\u0307@example.com"),
}


def _header(name: str) -> str:
    return "Ad ID" if name == "ad" else name
