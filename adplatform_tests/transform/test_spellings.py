"""How exporters write values, on DuckDB; ``test_spark_engine`` reads the same tables on Spark."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from adplatform.contracts.model import Contract
from adplatform.transform.compile import compile_contract
from adplatform_tests.transform.spellings import BAD, TABLES


def read(contract: Contract, texts: Sequence[str | None]) -> list[tuple[Any, str]]:
    """The value of each text in column ``x``, and the reasons against it."""
    rows = pa.table({"x": pa.array(texts, pa.string()), "_file": pa.array(range(len(texts)))})
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("raw", rows)
        found = con.execute(f"select x, _reasons from ({compile_contract(contract).validate}) order by _file")
        return [(value, reasons) for value, reasons in found.fetchall()]


def of(settings: Mapping[str, Any], **contract: Any) -> Contract:
    return Contract.model_validate({"columns": {"x": settings}, **contract})


@pytest.mark.parametrize("name", TABLES)
def test_texts_have_the_value_that_the_settings_of_their_column_give_them(name: str) -> None:
    settings, rows = TABLES[name]
    found = read(of(settings), [text for text, _ in rows])
    meant = [(text, "bad" if value is BAD else value) for text, value in rows]
    assert [
        (text, "bad" if reasons else value) for (text, _), (value, reasons) in zip(rows, found, strict=True)
    ] == meant
