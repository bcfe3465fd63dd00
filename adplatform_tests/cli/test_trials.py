"""What is shown of a file that was tried: rows with their reason, values as far as they may be seen, what helps."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from adplatform.cli.trials import show_counts, show_other_format, show_rows, show_suggestions
from adplatform.contracts.model import Contract
from adplatform.drafting.trial import try_contract
from adplatform.failures import PermanentFailure

CONTRACT = Contract.model_validate(
    {
        "columns": {
            "order_id": {"type": "bigint", "required": True},
            "email": {"pii": "email"},
            "amount": "decimal(12,2)",
            "day": "date",
            "note": "string",
        },
        "row_checks": [{"name": "some", "expression": "amount > 0"}],
    }
)
LINES = (
    "order_id,email,amount,day,note",
    "1,ann@example.com,9.90,2026-01-31,fine",
    '2,bob@example.com,"1.234,50",31.01.2026,Jane Doe',
    "3,eve@example.com,N/A,31.01.2026,Jane Doe",
    "4,eve@example.com,-1,2026-01-31,Jane Doe",
    "5,eve@example.com,1,2026-01-31",
    ",eve@example.com,1,2026-01-31,Jane Doe",
)


def shown(tmp_path: Path, lines: tuple[str, ...] = LINES, *, reveal: bool = False, limit: int = 20) -> str:
    file, out = tmp_path / "orders.csv", io.StringIO()
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    console = Console(file=out, width=160)
    trial = try_contract(CONTRACT, file, tmp_path / "trial")
    show_counts(trial, console)
    show_rows(trial, console, limit, reveal=reveal)
    show_suggestions(trial, file, tmp_path, console)
    return out.getvalue()


def test_rows_that_seem_to_follow_a_footer_are_shown(tmp_path: Path) -> None:
    file, out = tmp_path / "a.csv", io.StringIO()
    file.write_text("a,b\nx,1\nTotally,2\ny,3\n", encoding="utf-8")
    declared = {"columns": {"a": "string", "b": "int"}, "format": {"skip_footer": {"starts_with": "Total"}}}
    trial = try_contract(Contract.model_validate(declared), file, tmp_path / "trial")
    show_counts(trial, Console(file=out, width=400))
    assert "line 3 begins as the footer does (skip_footer.starts_with), and of the 1 line behind it" in out.getvalue()


def test_rows_are_shown_with_line_column_shape_and_reason(tmp_path: Path) -> None:
    rows = [line.split() for line in shown(tmp_path).splitlines()]
    assert ["3", "amount", "9.999,99", "is", "not", "a", "decimal(12,2)", "as", "declared"] in rows
    assert ["3", "day", "99.99.9999", "is", "not", "a", "date", "as", "declared"] in rows
    assert ["6", "***", "has", "more", "or", "fewer", "fields", "than", "the", "header"] in rows
    assert ["7", "order_id", "has", "no", "value,", "and", "is", "required"] in rows


def test_personal_values_and_free_text_are_seen_only_when_revealed(tmp_path: Path) -> None:
    masked, revealed = (
        shown(tmp_path),
        shown(tmp_path / "again", reveal=True) if (tmp_path / "again").mkdir() is None else "",
    )
    assert "example.com" not in masked
    assert "Jane" not in masked
    assert "1.234,50" not in masked
    assert "1.234,50" in revealed
    assert "5,eve@example.com,1,2026-01-31" in revealed


def test_settings_are_suggested_that_were_seen_to_read_rows_of_the_file(tmp_path: Path) -> None:
    text = shown(tmp_path)
    assert "day: formats: ['%d.%m.%Y']   (2 of 2 rows)" in text
    assert "amount: null_values: [N/A]   (1 of 2 rows)" in text
    assert "ragged_rows" in text


@pytest.mark.slow
def test_a_setting_that_breaks_as_many_rows_as_it_reads_is_not_suggested(tmp_path: Path) -> None:
    lines = (LINES[0], '1,,"1,5",,', "2,,2.5,,", "3,,3.5,,")
    assert "decimal_comma" not in shown(tmp_path, lines)
    (tmp_path / "other").mkdir()
    assert "decimal_comma: true" in shown(tmp_path / "other", (LINES[0], '1,,"1,5",,', '2,,"2,5",,', "3,,3,,"))


@pytest.mark.slow
def test_rows_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    assert "and 3 rows more (--limit)" in shown(tmp_path, limit=2)


@pytest.mark.parametrize("line", ["1,a@example.com,1,2026-01-31,x"])
def test_nothing_is_shown_of_a_file_that_is_read(tmp_path: Path, line: str) -> None:
    text = shown(tmp_path, (LINES[0], line))
    assert "why" not in text
    assert "read them" not in text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a;größe\n1;2\n".encode("utf-16"), "format: {encoding: utf-16, delimiter: ';'}   (1 of 1 rows)"),
        (
            b"Report\n\na;gr\xc3\xb6\xc3\x9fe\n1;2\n",
            "format: {delimiter: ';', header: {starts_with: a}}   (1 of 1 rows)",
        ),
        (b'[{"a": 1, "gr\xc3\xb6\xc3\x9fe": 2}]', "format: {kind: json}   (1 of 1 rows)"),
        (b"a;b\n1;2\n", ""),
    ],
    ids=["encoding and delimiter", "lines before", "json", "other columns"],
)
def test_of_a_refused_file_the_format_is_told_that_reads_it(tmp_path: Path, data: bytes, said: str) -> None:
    contract = Contract.model_validate({"columns": {"a": "bigint", "groesse": {"field": "größe", "type": "bigint"}}})
    file, out = tmp_path / "file", io.StringIO()
    file.write_bytes(data)
    with pytest.raises(PermanentFailure):
        try_contract(contract, file, tmp_path / "trial")
    show_other_format(contract, file, tmp_path, Console(file=out, width=160))
    assert said in out.getvalue()
    assert bool(out.getvalue()) == bool(said)
