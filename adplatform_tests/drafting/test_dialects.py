"""Delimiter, quotes, header, and what stands around a table, by its text."""

import pytest

from adplatform.drafting.dialects import table_of


@pytest.mark.parametrize(
    ("text", "delimiter", "quote", "escape"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", ",", '"', '"'),
        ("a;b;c\n1,5;2;3\n4,5;5;6\n", ";", '"', '"'),
        ("a\tb\n1\t2\n", "\t", '"', '"'),
        ("a|b\n1|2\n", "|", '"', '"'),
        ('Report\nPeriod: all\nid||text\n1||"a\nb"\n2||c\n', "||", '"', '"'),
        ("a||b||c\n1||x|y||3\n4||5||6\n7||8||9\n1||2||3\n1||2||3\n", "||", '"', '"'),
        ("a|~|b\n1|~|2\n3|~|4\n", "|~|", '"', '"'),
        ("a,b\n'x, y',1\n'z',2\n", ",", "'", "'"),
        ('a,b\n"x \\"y\\", z",1\n"z",2\n', ",", '"', "\\"),
        ('a,b\n"x ""y"", z",1\n"z",2\n', ",", '"', '"'),
        ("name\nx|y\nplain\nother\nmore\n", ",", '"', '"'),
        ("a;b\nx;y\nx;y\n1,5;y\n2,5;y\n", ";", '"', '"'),
        ("sep=;\na;b\n1,2;3,4\n", ";", '"', '"'),
    ],
)
def test_a_dialect_is_that_by_which_lines_agree(text: str, delimiter: str, quote: str, escape: str) -> None:
    dialect = table_of(text).dialect
    assert (dialect.delimiter, dialect.quote, dialect.escape) == (delimiter, quote, escape)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("date,clicks\n2026-01-01,5\n", ("date", "clicks")),
        ("2026-01-01,5\n2026-01-02,6\n", None),
        ("ann@example.com,5\nbob@example.com,6\n", None),
        ("name,city\nAnn,Rome\nBob,Oslo\n", ("name", "city")),
        ("x,y\nx,z\n", None),
        ("Ann,Rome\nBob,Oslo\nEve,Lima\n", None),
        ("date,clicks\n", ("date", "clicks")),
    ],
)
def test_a_header_is_names_and_no_values(text: str, header: tuple[str, ...] | None) -> None:
    assert table_of(text).header == header


def test_lines_around_the_table_are_found_and_counted() -> None:
    text = (
        "Report\nAccount 7,of two\n\nday,campaign,clicks\n2026-01-01,a,1\n# note\n2026-01-02,b,2\n"
        "day,campaign,clicks\n2026-01-03,c,3\nTotal rows: 3\nsent by Ann\n"
    )
    table = table_of(text)
    assert table.header == ("day", "campaign", "clicks")
    assert [row.fields[0] for row in table.rows] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert (table.preamble, table.comment, table.comments_within) == (3, "#", True)
    assert (table.footer, table.footer_start, table.repeated_headers) == (2, "Total", 1)
    assert table.header_start == "day"


@pytest.mark.parametrize(
    ("before", "header", "start"),
    [
        ("Report", "day,clicks", "day"),
        ("day of the report", "day,clicks", "day,"),
        ("day of the report", '"day","clicks"', ""),
        ("day, at long, last", "day,clicks", ""),
    ],
)
def test_a_header_is_known_by_what_no_line_before_it_begins_with(before: str, header: str, start: str) -> None:
    table = table_of(f"{before}\n\n{header}\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n")
    assert table.header_start == start


def test_only_known_words_of_a_footer_are_told() -> None:
    table = table_of("day,clicks\n2026-01-01,1\n2026-01-02,2\nJane Doe made this\n")
    assert (table.footer, table.footer_start) == (1, "")


def test_padded_lines_before_the_header_are_no_header() -> None:
    table = table_of("Report,,,\nNovember,,,\nday,campaign,clicks,cost\n2026-01-01,a,1,2\n2026-01-02,b,2,3\n")
    assert (table.header, table.preamble) == (("day", "campaign", "clicks", "cost"), 2)


def test_a_record_that_the_sample_cuts_is_left_out() -> None:
    assert len(table_of('a,b\n1,2\n3,"x', whole=False).rows) == 1


def test_a_quote_that_is_never_closed_is_a_sign_like_any_other() -> None:
    table = table_of('id,body\n1,"x\n' + "2,some longer text\n" * 20_000)
    assert (table.dialect.quote, len(table.rows)) == ("", 20_001)
