"""What is said of a file without declared columns: what was found, the setting that may read it, and no value."""

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.files.bad_file import BadFile
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.layouts import Lines, accept

COLUMNS = {"day": "date", "campaign_name": "string", "clicks": "int"}


def refusal(tmp_path: Path, content: bytes, **settings: Any) -> str:
    contract = Contract.model_validate({"columns": COLUMNS, **settings})
    (tmp_path / "delivered").write_bytes(content)
    files = unpack(tmp_path / "delivered", "file:1", contract.format, tmp_path, 0)
    with pytest.raises(BadFile) as refused:
        transform(contract, files, date(2026, 3, 14), None, tmp_path / "work", EngineLimits("256MB"))
    return str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"day,Campaign name,clicks\n",
            "'campaign_name'; found 'day', 'Campaign name', 'clicks'; if 'Campaign name' is 'campaign_name', set "
            "field: 'Campaign name', or header_match: loose, or have it written as declared",
        ),
        (b"day,campaign_nam,clicks\n", "if 'campaign_nam' is 'campaign_name', set field: 'campaign_nam', or have it"),
        (
            b"day,other,clicks\n",
            "found 'day', 'other', 'clicks'; have it written as declared, or set field to what the files call it",
        ),
        (b"2026-03-14,zqvalue,7\n2026-03-15,b,8\n", "found 3 fields without a declared name; set header: false if the"),
        (b"day,zqvalue@x.example,clicks\n", "found 'day', 'clicks', and 1 more that may be values"),
        (b"day;campaign_name;clicks\n1;b;2\n", "line 1 has them; set in the feed's format delimiter: ';'"),
        (b"day\tCampaign Name\tClicks\n", r"line 1 has them; set in the feed's format delimiter: '\t'"),
        (
            b"a|b|c\n1|2|3\n",
            "its header is one field that holds '|'; set format.delimiter: '|' if fields end with that",
        ),
        (b"zqvalue\n\nday,campaign_name,clicks\n", "line 3 has them; set in the feed's format skip_lines: 2"),
        (
            b"zqvalue\nday;campaign_name;clicks\n",
            "line 2 has them; set in the feed's format delimiter: ';', skip_lines: 1",
        ),
        (
            b"No data available for zqvalue\n",
            "the file is a notice, which says 'No data available', in place of a table",
        ),
        (b'{"error": "zqvalue"}', "the file is a JSON document, an error with 'error', in place of")
        if False
        else (b'{"error": "zqvalue"}', "the file is a JSON document, an error with 'error': ask for a table"),
    ],
)
def test_a_refusal_says_what_was_found_and_which_setting_reads_it(tmp_path: Path, content: bytes, says: str) -> None:
    said = refusal(tmp_path, content)
    assert said.startswith("file:1: declared columns are missing from the header: ")
    assert says in said
    assert "zqvalue" not in said


def test_a_member_of_an_archive_that_is_no_table_says_how_members_are_chosen(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("readme.txt", "zqvalue wrote this\n")
        archive.writestr("rows.csv", "day,campaign_name,clicks\n")
    said = refusal(tmp_path, (tmp_path / "packed").read_bytes())
    assert said.startswith("file:1#1: declared columns are missing from the header: ")
    assert "if it is no file with data, set format.members to those of the archive that are" in said
    assert "zqvalue" not in said


def test_a_file_that_is_on_no_disk_is_judged_by_its_header_alone(tmp_path: Path) -> None:
    contract = Contract.model_validate({"columns": COLUMNS})
    header = ("day", "Campaign Name", "clicks")
    with pytest.raises(BadFile, match=r"if 'Campaign Name' is 'campaign_name', set field"):
        accept(contract, [(InputFile(Path("s3://raw/a.csv"), "file:1", 0), header, Lines())])


def test_names_of_parquet_are_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": ["a"], "campaign": ["b"], "spend": [1]}), tmp_path / "f")
    said = refusal(tmp_path, (tmp_path / "f").read_bytes(), format={"kind": "parquet"})
    assert "found 'day', 'campaign', 'spend'" in said


@pytest.mark.parametrize("kind", ["latin", "none"])
def test_a_row_in_place_of_the_header_is_not_shown(tmp_path: Path, kind: str) -> None:
    row = "Zq\u00e4value,Lee,Clickson\n" if kind == "latin" else "Zqvalue,Lee,Clickson\n"
    said = refusal(tmp_path, row.encode())
    assert all(text not in said for text in ("value", "Lee", "Clickson"))
    assert "set header: false" in said
