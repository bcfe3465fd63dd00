"""Random exports whose truth is known: columns of many spellings, in many dialects, with lines around the table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d %b %Y", "%B %d, %Y", "%d-%m-%y", "%Y/%m/%d")
TIMES = (" %H:%M:%S", "T%H:%M:%SZ", " %H:%M", " %I:%M %p", " %H:%M:%S.%f")
BOOLEANS = (("true", "false"), ("Yes", "No"), ("Y", "N"), ("ja", "nein"))
SECRET = "Xantippe"
"""Stands in every value of free text."""
TEXTS = ("a,b", "x;y", 'say "hi"', "it's", "ü", "line\nbreak", "plain", " lead", "a|b", "tab\tx", "#no")


@dataclass(frozen=True)
class Export:
    data: bytes
    rows: int
    personal: tuple[str, ...]
    """Values that no output may show."""


def export(random: Random) -> Export:
    rows, columns, commented = random.randint(1, 60), [], random.random() < 0.1
    mark = random.choice(".,")
    groups = random.choice(["", "", "," if mark == "." else ".", " ", "'"])
    for number in range(random.randint(1, 7)):
        kind = random.choice(list(_KINDS))
        value = _KINDS[kind](random, mark, groups)
        none = random.choice([None, None, "", "--", "N/A", "NULL"])
        values = [none if none is not None and random.random() < 0.2 else value(n) for n in range(rows)]
        columns.append(
            (f"{random.choice(['Label', 'campaign id', 'Straße Ort', 'date', 'Name'])} {number}{kind}", values)
        )
    delimiter = random.choice([",", ",", ";", "\t", "|", "||", "|~|"])
    several, quoted = len(columns) > 1, random.random() < 0.3
    named = random.random() < 0.1 and len(delimiter) == 1
    lines = [f"sep={delimiter}"] if named else []
    lines += ["Report", "Period: all", "", "Account 12"][: random.choice([0, 0, 2, 4]) if several and not named else 0]
    lines += ["# made by x"] if commented else []

    # Of one column nothing else tells which of the usual delimiters it is that stands in its values.
    special = {delimiter[0], '"', "\n", "\r"} | (set() if several else set(",;\t|"))

    def field(text: str) -> str:
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if quoted or set(text) & special else text

    lines.append(delimiter.join(field(name) for name, _ in columns))
    for row in zip(*(values for _, values in columns), strict=True):
        text = delimiter.join(map(field, row))
        # Nothing tells a row that begins as comments do from a comment, nor an empty line from an empty value.
        lines.append((text.replace("#", "no ") if commented else text) or '""')
        lines += ["# a comment"] if commented and random.random() < 0.05 else []
    footers = random.choice([0, 0, 1, 2]) if len(columns) > 2 else 0
    lines += ["Report generated today", "*** end"][:footers]
    end = random.choice(["\n", "\r\n"])
    text = end.join(lines) + end
    encoding = random.choice(["utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16"])
    return Export(text.encode(encoding), rows, tuple(v for _, vs in columns for v in vs if SECRET in v or "@" in v))


def _number(random: Random, mark: str, groups: str) -> Callable[[int], str]:
    currency, percent = random.choice(["", "", "€", "EUR", "$"]), random.random() < 0.2
    before, negative, digits = random.random() < 0.5, random.choice("-(t"), random.choice([None, 2, 4])

    def value(_: int) -> str:
        number = random.choice([random.uniform(-1000, 1000), random.uniform(0, 9e6), random.randint(0, 100)])
        text = f"{abs(number):,.{random.choice([0, 2, 3]) if digits is None else digits}f}"
        text = text.replace(",", "\0").replace(".", mark).replace("\0", groups)
        if currency:
            text = currency + text if before else f"{text} {currency}"
        elif percent:
            text += "%"
        return {"-": f"-{text}", "(": f"({text})", "t": f"{text}-"}[negative] if number < 0 else text

    return value


def _day(random: Random, time: str = "") -> Callable[[int], str]:
    pattern = random.choice(DATES) + time
    return lambda _: (datetime(2026, 1, 1) + timedelta(seconds=random.randint(0, 40_000_000))).strftime(pattern)  # noqa: DTZ001


def _boolean(random: Random) -> Callable[[int], str]:
    words = random.choice(BOOLEANS)
    return lambda _: random.choice(words)


_KINDS: dict[str, Callable[[Random, str, str], Callable[[int], str]]] = {
    "int": lambda random, *_: lambda n: str(random.randint(-5, 10 ** random.randint(1, 12))),
    "id": lambda *_: lambda n: str(10**6 + n),
    "num": _number,
    "date": lambda random, *_: _day(random),
    "ts": lambda random, *_: _day(random, random.choice(TIMES)),
    "text": lambda random, *_: lambda n: f"{random.choice(TEXTS)} {SECRET}",
    "email": lambda *_: lambda n: f"u{n}@example.com",
    "bool": lambda random, *_: _boolean(random),
    "phone": lambda random, *_: lambda n: f"+49 30 {random.randint(1_000_000, 9_999_999)}",
    "zero": lambda random, *_: lambda n: f"{random.randint(0, 99_999):05d}",
    "enum": lambda random, *_: lambda n: random.choice(["desktop", "mobile"]),
}


def documents(random: Random) -> tuple[list[dict[str, object]], str | None]:
    """Random documents, whose members have a kind each, are absent or null at times and lie within others, and the path
    to their array; None for a document in each line."""
    kinds: dict[str, Callable[[int], object]] = {
        "id": lambda n: n,
        "cost": lambda n: random.choice([0, 1.5, -3.25, 1e-05, 123456.789]),
        "big": lambda n: 10**20 + n,
        "ok": lambda n: random.random() < 0.5,
        "day": lambda n: f"2026-01-{1 + n % 28:02d}",
        "at": lambda n: f"2026-01-01T00:{n % 60:02d}:00+02:00",
        "email": lambda n: f"u{n}@example.com",
        "tags": lambda n: [SECRET] * random.randint(0, 2),
        "text": lambda n: random.choice([*TEXTS, ""]),
        "mixed": lambda n: random.choice([1, "x", {"y": 1}, [2]]),
    }
    places = {
        name: random.choice([(), ("a",), ("a", "b")]) for name in random.sample(list(kinds), random.randint(1, 8))
    }
    rows = []
    for n in range(random.randint(1, 40)):
        row: dict[str, object] = {}
        for name, path in places.items():
            if random.random() < 0.1:
                continue
            inner = row
            for each in path:
                inner = inner.setdefault(each, {})  # type: ignore[assignment]
            inner[name] = None if random.random() < 0.1 else kinds[name](n)
        rows.append(row or {"id": n})
    return rows, random.choice([None, "", "items", "data.items"])
