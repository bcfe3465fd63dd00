"""Deliveries that DuckDB and the job of Spark have to make the same of: those of other tests, and some of their own."""

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from adplatform.contracts.model import Contract
from adplatform.contracts.strict import RenamedSetting
from adplatform_tests.drafting import test_presets as exporters
from adplatform_tests.files import test_file_cases as cases
from adplatform_tests.transform import parquet_types
from adplatform_tests.transform import test_as_tools_write as tools


@dataclass(frozen=True)
class Delivered:
    contract: Contract
    contents: Mapping[str, bytes]


Corpus = Mapping[str, Delivered]


def _rows(test: Any) -> Iterator[tuple[str, Any]]:
    """The parameters of a test, by their names."""
    [of] = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    for each in of.args[1]:
        yield str(each.id), each.values


def _of(settings: Mapping[str, Any], *contents: bytes) -> Delivered:
    return Delivered(Contract.model_validate(settings), {str(n): content for n, content in enumerate(contents)})


def exporters_files() -> Corpus:
    return {
        name: _of({"columns": each.columns, "format": {"preset": name, **each.format}, **each.more}, each.data)
        for name, each in exporters.FILES.items()
    }


def file_cases() -> Corpus:
    """Empty where the files are kept elsewhere."""
    found = {}
    for name, (case, file, settings, *_) in _rows(cases.test_the_file_is_read_or_refused_with_the_setting):
        declared = cases.CASES / case / "defs.yaml"
        if declared.is_file():
            [feed] = yaml.safe_load(declared.read_text(encoding="utf-8"))["attributes"]["feeds"]
            kept = {key: value for key, value in feed.items() if key in cases.OF_CONTRACT}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RenamedSetting)
                found[name] = _of({**kept, **settings}, declared.with_name(file).read_bytes())
    return found


def written_by_tools() -> Corpus:
    return {
        name: _of({"columns": columns, **settings}, data)
        for test in (tools.test_values_are_read, tools.test_refusals_name_what_reads_the_file)
        for name, (columns, settings, data, *_) in _rows(test)
    }


_SPELLED = [
    *(
        {"type": name}
        for name in ("string", "decimal(38,6)", "bigint", "double", "timestamp", "date", "boolean", "int")
    ),
    {"bytes": "hex"},
    {"type": "timestamp", "timezone": "Europe/Berlin"},
    {"type": "decimal(18,4)", "decimal_comma": True},
    {"type": "double", "decimal_comma": True},
]


def types_of_parquet() -> Corpus:
    """Every type as every type, and nested ones as text."""
    wide = {"wide": parquet_types.WIDE}
    asked = [(parquet_types.PLAIN | wide, each) for each in _SPELLED]
    asked += [(parquet_types.nested(), each) for each in ({}, {"bytes": "hex"})]
    return {
        f"{'nested' if number >= len(_SPELLED) else 'plain'} {spelled or ''}": Delivered(
            Contract.model_validate(
                {
                    "columns": dict.fromkeys(columns, spelled),
                    "format": {"kind": "parquet"},
                }
            ),
            {"a": parquet_types.table(columns)},
        )
        for number, (columns, spelled) in enumerate(asked)
    }


_PIECES = ("a", "b", ",", '"', '"', '""', "\n", "\n", ",", "c d", " ", "é")


def broken_quotes(seeds: int = 60) -> Corpus:
    """Short files of what may go wrong with quotes, in deliveries of several."""
    columns = {"columns": {"id": "string", "note": "string"}}
    of_ten = [[_broken(seed) for seed in range(ten, ten + 10)] for ten in range(0, seeds, 10)]
    return {f"from {10 * number}": _of(columns, *bodies) for number, bodies in enumerate(of_ten)}


def _broken(seed: int) -> bytes:
    drawn = random.Random(seed)
    body = "".join(drawn.choice(_PIECES) for _ in range(drawn.randint(3, 30)))
    return f"id,note\n{body}{drawn.choice(['', chr(10)])}".encode()


CORPORA: Mapping[str, Callable[[], Corpus]] = {
    "files of exporters": exporters_files,
    "file cases": file_cases,
    "types of Parquet": types_of_parquet,
    "broken quotes": broken_quotes,
}
EXHAUSTIVE: Mapping[str, Callable[[], Corpus]] = {
    **CORPORA,
    "files that tools write": written_by_tools,
    "broken quotes": partial(broken_quotes, 1_000),
}
