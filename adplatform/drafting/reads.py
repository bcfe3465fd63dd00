"""Whether settings read texts, asked of the statements that the transform runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.platform.late import Late
from adplatform.transform.compile import compile_contract

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")


class Reader:
    """Asks one connection, which costs more to open than many questions."""

    def __init__(self) -> None:
        self._con = duckdb.connect(":memory:", config={"threads": 1})
        self._con.execute("set TimeZone = 'UTC'")
        self._con.execute("set enable_external_access = false")

    def close(self) -> None:
        self._con.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reasons(self, column: Column, fmt: FileFormat, texts: Sequence[str | None]) -> list[str]:
        """What is wrong with each text, "" for nothing.

        Raises:
            PermanentFailure: settings that cannot be computed.
        """
        contract = Contract(columns=(column,), format=fmt)
        table = pa.table({column.name: pa.array(texts, pa.string()), "_file": pa.array(range(len(texts)), pa.int32())})
        self._con.register("raw", table)
        statement = compile_contract(contract).validate
        found = self._con.execute(f"select _file, _reasons from ({statement}) order by 1").fetchall()
        return [reasons for _, reasons in found]

    def read_all(self, settings: dict[str, Any], fmt: FileFormat, texts: Sequence[str | None]) -> bool:
        """Whether a column with these settings, which YAML could have, takes every text."""
        try:
            column = Column.model_validate({"name": "value", **settings})
            return not any(self.reasons(column, fmt, texts))
        except (ValidationError, PermanentFailure):
            return False
