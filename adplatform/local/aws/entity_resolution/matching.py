"""Matching by rules: which records of Parquet files are one entity, as csv of DuckDB."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adplatform.lake.limited import limited
from adplatform.transform.rules import identifier, literal

_MEMORY, _THREADS = "512MB", 1
_LONGEST_ID = 38
_PARQUET = "read_parquet({files}, union_by_name = true, hive_partitioning = false)"


class Unreadable(Exception):
    """A table that a job cannot read. The message is what the job says."""


@dataclass(frozen=True)
class Input:
    """The files of a table, and the fields of its schema mapping."""

    arn: str
    fields: Sequence[dict[str, Any]]
    files: Sequence[Path]


def match(inputs: Sequence[Input], workflow: dict[str, Any], work: Path, refused: int = 0) -> dict[str, int]:
    """Writes ``success.csv`` and ``error.csv`` below ``work``, each where there is something for it; the counts of the
    job. The first ``refused`` records are not processed, whatever they are.

    Raises:
        Unreadable: a table lacks a field of its schema mapping.
    """
    rules = workflow["resolutionTechniques"]["ruleBasedProperties"]
    outputs = [each["name"] for each in workflow["outputSourceConfig"][0]["output"]]
    hashed = {each["name"] for each in workflow["outputSourceConfig"][0]["output"] if each.get("hashed")}
    keys = list(dict.fromkeys(key for rule in rules["rules"] for key in rule["matchingKeys"]))
    exact = rules["attributeMatchingModel"] == "ONE_TO_ONE"
    with limited(_MEMORY, _THREADS, work) as con:
        selects = [_records(con, each, keys, outputs, exact) for each in inputs]
        con.execute(f"create table read as select row_number() over () as r, * from ({' union all '.join(selects)})")
        con.execute(
            "create table judged as select *, case when coalesce(uid, '') = '' then 'The unique ID is missing'"
            f" when length(uid) > {_LONGEST_ID} then 'The unique ID is longer than {_LONGEST_ID} characters'"
            " when count(*) over (partition by uid) > 1 then 'The unique ID is not unique'"
            f" when r <= {refused} then 'The record cannot be processed' end as fault from read"
        )
        con.execute("create table valid as select * from judged where fault is null")
        _connect(con, [[keys.index(key) for key in rule["matchingKeys"]] for rule in rules["rules"]])
        names = "".join(
            f" when {number} then {literal(rule['ruleName'])}" for number, rule in enumerate(rules["rules"])
        )
        con.execute(
            "create table matched as select v.*, md5(min(v.uid) over (partition by l.label)) as match_id,"
            f" case t.rule{names} end as match_rule from valid v join labels l using (r)"
            " left join (select r, min(rule) as rule from tokens group by r) t using (r)"
        )
        [counts] = con.execute(
            "select (select count(*) from read), (select count(*) from valid),"
            " (select count(distinct match_id) from matched)"
        ).fetchall()
        _write(con, work, outputs, hashed)
    read, valid, matches = counts
    return {
        "inputRecords": read,
        "totalRecordsProcessed": valid,
        "recordsNotProcessed": read - valid,
        "matchIDs": matches,
    }


def _records(con: Any, given: Input, keys: Sequence[str], outputs: Sequence[str], exact: bool) -> str:
    """A SELECT of the records of a table: their id, the values of each match key, and what is put out."""
    files = _PARQUET.format(files="[" + ", ".join(literal(str(file)) for file in given.files) + "]")
    there = {row[0] for row in con.execute(f"describe select * from {files}").fetchall()}
    missing = [each["fieldName"] for each in given.fields if each["fieldName"] not in there]
    if missing:
        raise Unreadable(f"{given.arn} has no column {', '.join(missing)}.")
    [unique] = [each["fieldName"] for each in given.fields if each["type"] == "UNIQUE_ID"]
    columns = [f"{literal(given.arn)} as arn", f"{_text(unique)} as uid"]
    columns += [f"{_values(given.fields, key, exact)} as k{number}" for number, key in enumerate(keys)]
    columns += [f"{_text(name) if name in there else 'null'} as o{number}" for number, name in enumerate(outputs)]
    return f"select {', '.join(columns)} from {files}"


def _values(fields: Iterable[dict[str, Any]], key: str, exact: bool) -> str:
    """The values that a record has for a match key: of each column, and of each group of columns together. Where only
    the same attribute is compared, each says which that is."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in fields:
        if each.get("matchKey") == key:
            group = each.get("groupName", "")
            groups.setdefault((group, "" if group else each["fieldName"]), []).append(_text(each["fieldName"]))
    texts = [f"nullif(concat_ws(' ', {', '.join(columns)}), '')" for columns in groups.values()]
    if exact:
        texts = [f"'{number}:' || {text}" for number, text in enumerate(texts)]
    return f"list_filter([{', '.join(texts)}]::varchar[], lambda v: v is not null)"


def _text(name: str) -> str:
    return f"nullif(cast({identifier(name)} as varchar), '')"


def _connect(con: Any, rules: Sequence[Sequence[int]]) -> None:
    """What records that agree by a rule have in common (``tokens``), and the least record that each is connected with
    (``labels``)."""
    selects = " union all ".join(_tokens(number, keys) for number, keys in enumerate(rules))
    con.execute(
        f"create table tokens as select * from (select distinct * from ({selects}))"
        " qualify count(*) over (partition by rule, token) > 1"
    )
    con.execute("create table labels as select r, r as label from valid")
    changed = 1
    while changed:
        con.execute(
            "create or replace table nearer as select r, min(label) as label from (select t.r, min(l.label) over"
            " (partition by t.rule, t.token) as label from tokens t join labels l using (r)) group by r"
        )
        [[changed]] = con.execute(
            "update labels set label = n.label from nearer n where n.r = labels.r and n.label < labels.label"
        ).fetchall()


def _tokens(rule: int, keys: Sequence[int]) -> str:
    joined = "".join(f", unnest(valid.k{key}) as t{place}(v{place})" for place, key in enumerate(keys))
    values = ", ".join(f"v{place}" for place in range(len(keys)))
    return f"select r, {rule} as rule, [{values}] as token from valid{joined}"


def _write(con: Any, work: Path, outputs: Sequence[str], hashed: Iterable[str]) -> None:
    named = "".join(
        f", {f'sha256(o{number})' if name in hashed else f'o{number}'} as {identifier(name)}"
        for number, name in enumerate(outputs)
    )
    good = f'select arn as "InputSourceARN", null as "ConfidenceLevel"{named}, match_rule as "MatchRule"'
    tables = {
        "success": ("matched", f'{good}, match_id as "MatchID" from matched order by r'),
        "error": (
            "judged where fault is not null",
            f'select arn as "InputSourceARN"{named}, fault as "ErrorMessage" from judged where fault is not null'
            " order by r",
        ),
    }
    for name, select in _filled(con, tables):
        con.execute(f"copy ({select}) to {literal(str(work / f'{name}.csv'))} (format csv, header)")


def _filled(con: Any, tables: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, (rows, select) in tables.items():
        if con.execute(f"select 1 from {rows} limit 1").fetchone():
            yield name, select
