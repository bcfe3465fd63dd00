"""File, line and reason of everything that can be wrong in a ``defs.yaml``."""

import time
from pathlib import Path
from textwrap import dedent

import pytest

from adplatform.contracts.source import FileSource
from adplatform.contracts.yaml_files import Declared, read_declarations, require_readable
from adplatform.failures import PermanentFailure

HEAD = """\
type: adplatform.components.PartnerPush
attributes:
  source: acme
  feeds:
    - name: orders
      start_date: 2026-01-01
"""


def read(folder: Path, text: str | bytes) -> tuple[list[Declared[FileSource]], list[str]]:
    """The declarations and the mistakes as ``line: where: reason``."""
    file = folder / "acme" / "defs.yaml"
    file.parent.mkdir()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    declared, mistakes = read_declarations(folder, {"PartnerPush": FileSource})
    return declared, [str(m).removeprefix(f"{file}:") for m in mistakes]


def mistakes(folder: Path, feed: str) -> list[str]:
    """Mistakes of a feed whose further settings begin in line 7."""
    body = "".join(f"      {line}\n" for line in dedent(feed).strip("\n").splitlines())
    return read(folder, HEAD + body)[1]


def test_every_document_below_the_folder_is_read(tmp_path: Path) -> None:
    one = HEAD + "      columns: {id: string}\n"
    declared, wrong = read(
        tmp_path, f"{one}---\n{one.replace('acme', 'emca')}---\ntype: dagster.Other\nattributes: 5\n"
    )
    assert wrong == []
    assert [(d.model.source, d.line) for d in declared] == [("acme", 1), ("emca", 9)]


def test_nothing_and_comments_are_no_documents(tmp_path: Path) -> None:
    assert read(tmp_path, "---\n# nothing yet\n---\n") == ([], [])


def test_a_mistake_names_its_file_line_and_place(tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text("type: PartnerPush\nattributes:\n  source: Acme\n  feeds: []\n", encoding="utf-8")
    _, found = read_declarations(tmp_path, {"PartnerPush": FileSource})
    assert [str(m) for m in found] == [
        f"{file}:3: source: String should match pattern '^[a-z][a-z0-9_]{{0,62}}$'",
        f"{file}:4: feeds: List should have at least 1 item after validation, not 0",
    ]


def test_the_line_of_a_column_is_its_own(tmp_path: Path) -> None:
    columns = """
        columns:
          id: string
          at:
            type: timestamp
            decimal_comma: true
          price: {type: money}
          country:
            allowed: [DE, NO]
        format:
          kind: csv
          seperator: ";"
        key: nobody
    """
    assert mistakes(tmp_path, columns) == [
        "9: feeds.orders.columns.at: column at: decimal_comma is for numbers",
        "12: feeds.orders.columns.price.type: unknown type 'money': use one of string, int, integer, bigint, long, "
        "double, boolean, bool, date, timestamp or decimal(precision,scale)",
        "14: feeds.orders.columns.country.allowed: False is not text in YAML: put it in quotes (NO, ON and 1 lose "
        "their spelling)",
        "17: feeds.orders.format.seperator: unknown setting",
    ]


def test_a_contradiction_of_the_whole_feed_is_shown_where_the_feed_begins(tmp_path: Path) -> None:
    wrong = mistakes(tmp_path, "columns: {id: string}\nkey: nobody")
    assert wrong == ["5: feeds.orders: key names column 'nobody', which is not declared"]


@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        ("columns: [id]", "7: feeds.orders.columns.0: Input should be a valid dictionary or instance of Column"),
        ("columns:\n  id: 5", "8: feeds.orders.columns.id: Input should be a valid dictionary or instance of Column"),
        ("columns:\n  id: yes", "8: feeds.orders.columns.id: Input should be a valid dictionary or instance of Column"),
        ("columns:\n  id:\n    pii: {kind: mail}", "9: feeds.orders.columns.id.pii.kind: Input should be 'email', "),
        ("columns:\n  yes: string", "8: feeds.orders.columns.yes.name: must be a text; put it in quotes"),
        ("columns: string", "7: feeds.orders.columns: must be a list, or a mapping where each has a name"),
        ("description: none", "5: feeds.orders.columns: is missing"),
        ("columns: {id: string}\narrival: {quiet_period: 30}", "8: feeds.orders.arrival.quiet_period: 30 is not a dur"),
        ("columns: {id: string}\narrival: fast", "8: feeds.orders.arrival: Input should be a valid dictionary"),
        ("columns: {id: string}\nname: again", "8: name: is given twice"),
        ("columns:\n  id: string\n  id: int", "9: id: is given twice"),
        ("columns: {id: !env X}", "7: document: could not determine a constructor for the tag '!env'"),
        ("columns: {id: {min: 2026-02-30}}", "7: document: 2026-02-30 is not a date: day is out of range for month"),
        ("columns: {id: string", "8: document: "),
        ("columns:\n\tid: string", "8: document: found character '\\t' that cannot start any token"),
    ],
)
def test_one_mistake_is_one_line(tmp_path: Path, feed: str, expected: str) -> None:
    wrong = mistakes(tmp_path, feed)
    assert len(wrong) == 1
    assert wrong[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attributes: {}", "1: type: is missing: say which component this is"),
        ("- type: PartnerPush", "1: type: is missing"),
        ("type: PartnerPush\n", "1: attributes: is missing"),
        ("type: PartnerPush\nattributes: [1]\n", "2: attributes: Input should be a valid dictionary"),
        (b"type: PartnerPush\nattributes: {source: \xe9}\n", "1: document: not text in UTF-8"),
        ("type: PartnerPush\nattributes: {source: \x01}\n", "1: document: not text in UTF-8"),
    ],
)
def test_a_document_of_the_wrong_shape_is_a_mistake_not_a_crash(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert read(tmp_path, text)[1][0].startswith(expected)


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, text in {"a": "{", "b": HEAD + "      columns: {id: string}\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text, encoding="utf-8")
    declared, wrong = read_declarations(tmp_path, {"PartnerPush": FileSource})
    assert ([d.model.source for d in declared], len(wrong)) == (["acme"], 1)


def test_a_mistyped_component_of_ours_is_a_mistake_and_a_foreign_one_is_left_alone(tmp_path: Path) -> None:
    text = "type: dagster.DefsFolderComponent\n---\ntype: adplatform.components.PartnerPushh\n"
    (tmp_path / "defs.yaml").write_text(text, encoding="utf-8")
    declared, mistakes = read_declarations(tmp_path, {"PartnerPush": FileSource})
    assert declared == []
    assert [(m.line, m.where) for m in mistakes] == [(3, "type")]
    assert "no component 'adplatform.components.PartnerPushh'" in mistakes[0].reason


def nested(deep: int) -> str:
    return f"columns: {'[' * deep}{']' * deep}"


def multiplied(levels: int) -> str:
    lines = ["description: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        (nested(5_000), "7: document: is nested more than 50 deep"),
        ("columns:\n" + "".join(f"{'  ' * n}- x:\n" for n in range(1, 200)), "document: is nested more than 50 deep"),
        ("columns: &a\n  id: *a", "8: document: *a stands within what it repeats"),
        ("columns: &a [1, [2, *a]]", "7: document: *a stands within what it repeats"),
        (multiplied(9), "11: document: has more than 100,000 values, with what aliases repeat"),
        ("<<: &m {x: &l [1, 2, 3]}\ny: [" + "*m, " * 30_000 + "*m]", "document: has more than 100,000 values"),
        (f"columns: [{'1, ' * 100_001}]", "7: document: has more than 100,000 values"),
        (f"columns: {{id: {{min: {'9' * 5_000}}}}}", "7: document: is not a value of type int: "),
        ("columns: {id: !!int x}", "7: document: is not a value of type int: "),
        ("columns: {id: !!bool x}", "7: document: is not a value of type bool: "),
        ("columns: {id: !!float x}", "7: document: is not a value of type float: "),
    ],
)
def test_yaml_that_is_made_to_exhaust_its_reader_is_one_mistake_with_its_line(
    tmp_path: Path, feed: str, expected: str
) -> None:
    begun = time.process_time()
    [wrong] = mistakes(tmp_path, feed)
    assert expected in wrong
    assert wrong.partition(":")[0].isdigit()
    assert len(wrong) < 300
    assert time.process_time() - begun < 20


def test_an_anchor_that_is_repeated_a_few_times_is_what_it_stands_for(tmp_path: Path) -> None:
    feed = "columns:\n  id: string\n  price: &money {type: 'decimal(12,2)', required: true}\n  cost: *money\n"
    assert not mistakes(tmp_path, feed)


def test_what_dagster_would_read_without_a_limit_is_refused_before_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(HEAD, encoding="utf-8")
    require_readable(tmp_path)
    (tmp_path / "defs.yaml").write_text(HEAD + nested(5_000), encoding="utf-8")
    with pytest.raises(PermanentFailure, match=rf"^{tmp_path}/defs.yaml:\d+: document: "):
        require_readable(tmp_path)
