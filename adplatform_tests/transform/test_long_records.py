"""Records that are too wide to be read, among many that are not."""

from pathlib import Path

import pytest

from adplatform.contracts.model import Contract
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.transform.long_records import MOST_UNDECLARED, refuse_long_records

DIALECTS = {
    "doubled quotes": ({}, b'"a,\n""",b\n'),
    "backslashes": ({"escape": "\\"}, b'"a,\\"\\\\\n,\\",", "b,\n" c\n'),
    "a quote outside": ({}, b'5", 6"\n "7,"," 8,\n" x"\n'),
    "other marks": ({"delimiter": ";", "quote": "'"}, b"'a;\n''';'b';\"\r\n"),
    "blanks between": ({"delimiter": " "}, b'a "b\n c"\n'),
    "two bytes between": ({"delimiter": "||"}, b'a||"b||\n"\n'),
    "no quotes": ({"quote": ""}, b'"a,"b\n'),
}
"""Settings of the format, and a record or two of a few columns, most of which go on over the end of a line."""


@pytest.mark.parametrize("kind", DIALECTS)
def test_the_first_record_with_too_many_columns_is_named_by_its_line(kind: str, tmp_path: Path) -> None:
    dialect, few = DIALECTS[kind]
    contract = Contract.model_validate({"columns": {"a": {}, "b": {}}, "format": dialect})
    delimiter, before = contract.format.delimiter.encode(), b"a\n" + few * (600_000 // len(few))
    widest = delimiter.join([b"x" * 10] * (MOST_UNDECLARED + 2)) + b"\n"
    path = tmp_path / "0"
    path.write_bytes(before + widest + few)
    refuse_long_records(contract, [InputFile(path, "s3://raw/0", 0)])
    path.write_bytes(before + widest + few + delimiter + widest)
    line = (before + widest + few).count(b"\n") + 1
    with pytest.raises(BadFile, match=rf"the record in line {line} has more than 1002 columns"):
        refuse_long_records(contract, [InputFile(path, "s3://raw/0", 0)])
