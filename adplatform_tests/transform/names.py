"""What naming conventions mean, told by itself in Python, for tests of every engine."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.transform.compile import compile_contract

Row = dict[str, Any]
SEPARATORS = ("_", " - ", "|", "][", "__", "\\", "X", "ß", "$^", "'", ".*", "%_")
_FIELDS = ("market", "channel", "objective", "yyyymm", "start:%d%m%y", "who")
_PIECES = (
    *("de", "DE", "Us", "srch", "SRCH", "search", "K", "ſearch", "202602", "202613", "300226", "280226", "000101"),
    *("", " ", "a", "é", "🤦🏼‍♂️", "\n", "\x00", "(?i)", "[", "]", "paid_social", "İ", "--", "X", "x", "'"),
)


@dataclass(frozen=True)
class Convention:
    patterns: tuple[str, ...]
    allowed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ignore_case: bool = True

    @property
    def contract(self) -> Contract:
        naming = {"x": list(self.patterns), "allowed": self.allowed, "aliases": self.aliases}
        return Contract.model_validate({"columns": {"x": None}, "naming": naming | {"ignore_case": self.ignore_case}})

    def of(self, name: str | None) -> Row:
        """The columns of a name."""
        fields = {f"x_{_named(text)}": None for pattern in self.patterns for text in _split(pattern)[1::2]}
        if name is None:
            return {**fields, "x_conforms": None}
        for pattern in self.patterns:
            for before, parts, after in _spelled(pattern):
                found = self._fitted(name, before, parts, after)
                if found is not None:
                    return {**fields, **found, "x_conforms": True}
        return {**fields, "x_conforms": False}

    def _fitted(self, name: str, before: str, parts: list[tuple[str, str]], after: str) -> Row | None:
        begin, end = name[: len(before)], name[len(name) - len(after) :]
        if len(name) <= len(before + after) or not (self._alike(begin, before) and self._alike(end, after)):
            return None
        left, found = name[len(before) : len(name) - len(after)], Row()
        for place, (text, separator) in enumerate(parts):
            last = place == len(parts) - 1
            at = self._cased(left).find(self._cased(separator)) if separator else -1
            if last:
                given, barred = left, at >= 0 and not text.endswith("*")
            elif at < 0:
                return None
            else:
                given, left, barred = left[:at], left[at + len(separator) :], False
            value = self._value(text, given, barred=barred)
            if value is None:
                return None
            found[f"x_{_named(text)}"] = value
        return found

    def _value(self, text: str, given: str, *, barred: bool) -> str | None:
        name = _named(text)
        form = "%Y%m" if name == "yyyymm" else "".join(text.rstrip("?*").split(":")[1:])
        if form:
            digits = re.sub("%[Ymdy]", lambda found: "[0-9]{4}" if found[0] == "%Y" else "[0-9]{2}", form)
            try:
                return given if re.fullmatch(digits, given) and datetime.strptime(given, form) else None  # noqa: DTZ007
            except ValueError:
                return None
        for written, meant in self.aliases.get(name, {}).items():
            if self._alike(written, given):
                return meant
        if name in self.allowed:
            return next((value for value in self.allowed[name] if self._alike(value, given)), None)
        return given if given and not barred else None

    def _cased(self, text: str) -> str:
        return re.sub("[A-Z]", lambda found: found[0].lower(), text) if self.ignore_case else text

    def _alike(self, one: str, other: str) -> bool:
        return self._cased(one) == self._cased(other)


def _split(pattern: str) -> list[str]:
    return re.split(r"[{}]", pattern)


def _named(text: str) -> str:
    return re.split("[:?*]", text)[0]


def _spelled(pattern: str) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """What stands before and after, and each field with the separator that it cannot hold."""
    before, *rest = _split(pattern)
    fields, literals = rest[::2], rest[1::2]
    ends = [*literals[:-1], literals[-2] if len(literals) > 1 else ""]
    parts = list(zip(fields, ends, strict=True))
    while True:
        yield before, parts, literals[-1]
        if not parts[-1][0].endswith("?"):
            return
        parts = parts[:-1]


@st.composite
def conventions(draw: st.DrawFn) -> Convention:
    """Conventions that are clear, in one or two patterns of the same fields."""
    patterns = []
    for _ in range(draw(st.integers(1, 2))):
        fields = draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=4, unique=True))
        mark = draw(st.sampled_from(["", "*", "?"]))
        marked = fields[-1] + (mark if len(fields) > 1 or mark != "?" else "")
        separators = [draw(st.sampled_from(SEPARATORS)) for _ in fields[1:]]
        between = "".join(f"{{{each}}}{end}" for each, end in zip(fields[:-1], separators, strict=True))
        outside = st.sampled_from(["", "", "[", "(?s).", "Brand-"])
        patterns.append(f"{draw(outside)}{between}{{{marked}}}{draw(outside)}")
    known = {_named(text) for pattern in patterns for text in _split(pattern)[1::2]}
    allowed = {
        name: values for name, values in {"market": ["de", "US"]}.items() if name in known and draw(st.booleans())
    }
    aliases = {"channel": {"srch": "search"}} if "channel" in known and draw(st.booleans()) else {}
    return Convention(tuple(patterns), allowed, aliases, draw(st.booleans()))


@st.composite
def names(draw: st.DrawFn, convention: Convention) -> list[str | None]:
    """Names near to a convention, and one of any text."""
    found: list[str | None] = [None, "", draw(st.text(max_size=20))]
    for _ in range(draw(st.integers(1, 12))):
        pattern = draw(st.sampled_from(convention.patterns))
        texts = [
            text if place % 2 == 0 else draw(st.lists(st.sampled_from(_PIECES), max_size=2).map("".join))
            for place, text in enumerate(_split(pattern))
        ]
        missing = draw(st.integers(0, 2)) if draw(st.booleans()) else 0
        found.append("".join(texts[: len(texts) - missing]))
    return found


CASES: Sequence[tuple[Convention, Mapping[str | None, tuple[Any, ...]]]] = (
    (
        Convention(
            ("{market}_{channel}_{yyyymm}_{notes?}", "{channel} - {market} [{start:%Y-%m-%d}]"),
            {"market": ["de", "US"], "channel": ["search", "paid_social"]},
            {"channel": {"srch": "search", "ps": "paid_social"}},
        ),
        # market, channel, yyyymm, notes, start, conforms
        {
            "de_search_202611": ("de", "search", "202611", None, None, True),
            "DE_Srch_202611_x": ("de", "search", "202611", "x", None, True),
            "us_PS_202611_": (None, None, None, None, None, False),
            "us_ps_202611_x_y": (None, None, None, None, None, False),
            "us_ps_202613": (None, None, None, None, None, False),
            "fr_ps_202611": (None, None, None, None, None, False),
            "Paid_Social - us [2026-02-28]": ("US", "paid_social", None, None, "2026-02-28", True),
            "search - us [2026-02-30]": (None, None, None, None, None, False),
            "search - us [2026-02-28] ": (None, None, None, None, None, False),
            " - us [2026-02-28]": (None, None, None, None, None, False),
            "": (None, None, None, None, None, False),
            None: (None, None, None, None, None, None),
        },
    ),
    (
        Convention(("B|{market}|{rest*}",), {}, {}, ignore_case=False),
        # market, rest, conforms
        {
            "B|a|b|c": ("a", "b|c", True),
            "B|é\n|🤦🏼‍♂️": ("é\n", "🤦🏼‍♂️", True),
            "b|a|b": (None, None, False),
            "B||b": (None, None, False),
            "B|a|": (None, None, False),
            "B|.*|(?i)": (".*", "(?i)", True),
        },
    ),
)


def statement(convention: Convention, latest: str) -> str:
    """DuckDB's SQL of the columns of a name, and the number of its row, over a relation of ``n`` and ``x``."""
    made = compile_contract(convention.contract).clean
    return (
        made.replace("select ", "select n, ", 1)
        .replace("from latest", f"from {latest}")
        .replace(" join files using (_file)", "")
        .replace(', _origin as "_source_file"', "")
    )


def relation(given: Sequence[str | None]) -> pa.Table:
    return pa.table({"n": pa.array(range(len(given)), pa.int32()), "x": pa.array(given, pa.string())})
