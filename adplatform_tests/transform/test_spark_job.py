"""The job of Spark reads what the contract says, with the same results as DuckDB."""

import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.contracts.model import Contract
from adplatform.files.input_file import InputFile
from adplatform.jobs.spark import main
from adplatform.platform.aws import Aws
from adplatform.privacy.keys import create_key
from adplatform.privacy.scan import Suspicion, scan_for_leaks
from adplatform.transform import splitting
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.job_plan import JobPlan, JobResult, PlannedFile
from adplatform.transform.spark_job import Keys, carry_out
from adplatform.transform.spark_objects import Objects
from adplatform.transform.values import FileCount
from adplatform_tests.local.aws.appflow_world import new_bucket
from adplatform_tests.transform import oracle
from adplatform_tests.transform.both_engines import (
    DAY,
    agree,
    compared,
    difference_of,
    load_key,
    on_duckdb,
    on_spark,
    outcome_of,
    plan_of,
)
from adplatform_tests.transform.corpora import CORPORA, EXHAUSTIVE

COLUMNS: Any = {"id": {"type": "int", "required": True}, "note": "string"}
BODY = b'id,note\n1,a\nx,b\n2,c,d\n3,"e\nf"\n4,"g" h\n'


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return packed.getvalue()


def tarred(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


LEFT_OUT = b'Report\n\nid,note\n1,a\n# x,b\nx,"c\n# d"\n2,e,f\n# g\ny,h\nTotal,3\n'
ARRAY = b'[{"id":1,"note":"x"},{"id":"z"},3,{"id":2.0,"note":{"a":[1.50,"\\u00e9"]}}]'
LINES = (
    b'{"id":1,"id":2,"note":1.23456789012345678}\n{"id":3,"note":1e2}\n{"id":4,"note":NaN,}\n\n[1]\n  \n{bad\n'
    b'{"id":5,"note":"\\ud800"}\n\xff\n{"id":"z","note":null}\n{"id":6,"note":{"b":1.50,"b":[true,null]}}\n'
)
CASES: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
    "csv": ({}, {"a": BODY, "b": b'note,id\r\n"q\r\nr",7\r\n'}),
    "gzip": ({}, {"a": gzip.compress(BODY)}),
    "zip": ({"format": {"members": "*.csv"}}, {"a": zipped(a_csv=BODY, b_csv=b"id,note\n9,z\n", r_txt=b"read me")}),
    "tar": ({}, {"a": tarred(a_csv=BODY, b_csv=b"id,note\n9,z\n")}),
    "damaged": ({}, {"a": gzip.compress(BODY)[:-5], "b": BODY}),
    "empty": ({}, {"a": b"", "b": b"id,note\n", "c": BODY}),
    "cp1252": ({"format": {"encoding": "cp1252"}}, {"a": "id,note\n1,é\nx,€\n".encode("cp1252")}),
    "utf-16": ({"format": {"encoding": "utf-16"}}, {"a": "id,note\n1,é\nx,y\n".encode("utf-16")}),
    "left out": ({"format": {"header": {"starts_with": "id"}, "comment": "#", "skip_footer": 1}}, {"a": LEFT_OUT}),
    "sep": ({"format": {"delimiter": ";"}}, {"a": b"sep=;\r\nid;note\r\n1;a\r\nx;b\r\n"}),
    "skipped": ({"format": {"skip_lines": 2}}, {"a": b"by hand\n\nid,note\n1,a\nx,b\n"}),
    "no header": ({"format": {"header": False}}, {"a": b"1,a\nx,b\n\n3,c\n"}),
    "pad": ({"format": {"ragged_rows": "pad"}}, {"a": b'id,note\n1\nx\n2,b\n3,c,d\n4,"a"b\n'}),
    "several characters": ({"format": {"delimiter": "||"}}, {"a": b'id||note\n1||a\nx||"b||c"\n3\n4||5||6\n'}),
    "backslash": (
        {"format": {"escape": "\\"}},
        {"a": b'id,note\n1,"a\\"b"\n2,"c\\nd"\n3,"e\\\\"\n4,f\\g\nx,"h"\n5,"a""b"\n6,i\n'},
    ),
    "no quote": ({"format": {"quote": ""}}, {"a": b'id,note\n1,"a\nx,b"c\n'}),
    "single quote": ({"format": {"quote": "'", "escape": "'"}}, {"a": b"id,note\n1,'it''s'\nx,it's\n"}),
    "unnamed": ({}, {"a": b"id,note,\n1,a,\n2,b,c\n3,d\n", "b": b'"id","note",""\n"1","a",""\n"2","b","x"\n'}),
    "empty text": ({"format": {"empty": "text"}}, {"a": b'id,note\n1,\n2,""\nx,\n'}),
    "no text": ({}, {"a": b'id,note\n1,\xff\n2,a\n3,"\xfe"\nx,b\n'}),
    "mixed line ends": ({}, {"a": b"id,note\r\n1,a\nx,b\r\n2,c,d\n"}),
    "stray return": ({}, {"a": b"id,note\n1,a\n2,b\rc\n"}),
    "carriage returns": ({}, {"a": b"id,note\r1,a\rx,b\r"}),
    "blanks": ({}, {"a": b'id,note\n1, "a"\n2,"b" \nx,"c" "d"\n4,  "e"\n'}),
    "lines": ({"format": {"max_record_lines": 2}}, {"a": b'id,note\n1,"a\nb\nc"\n'}),
    "length": ({"format": {"max_record": "1KB"}}, {"a": b"id,note\n1," + b"a" * 1500 + b"\n2,b\nx,c\n"}),
    "open quote": ({}, {"a": b'id,note\nx,a\n2,"open\n3,b\n4,c\n'}),
    "json": ({"format": {"kind": "json"}}, {"a": ARRAY}),
    "json records": ({"format": {"kind": "json", "records": "d.r"}}, {"a": b'{"d":{"r":' + ARRAY + b"}}"}),
    "ndjson": ({"format": {"kind": "ndjson"}}, {"a": LINES, "b": gzip.compress(LINES.replace(b"\n", b"\r\n"))}),
    "ndjson members": (
        {
            "columns": {
                "id": "int",
                "n": {"field": ["a.b", "c"]},
                "p": {"field": "l.0"},
                "d": {"type": "decimal(9,2)", "decimal_comma": True},
            },
            "schema_policy": "evolve",
            "format": {"kind": "ndjson"},
        },
        {
            "a": b'{"id":1,"a":{"b":2,"x":3},"new":{"y":1},"l":[7,8],"d":1.5}\n{"id":2,"other":true,"d":"1.5"}\n',
            "b": b'{"id":3,"other":1.0,"l.0":"q"}\n{"id":"x","c":"3"}\n',
        },
    ),
    "evolve": (
        {"schema_policy": "evolve"},
        {"a": b"id,note,new\n1,a,z\n", "b": b"id,neu,new,note\n2,p,q,r\nx,1,2,3\n"},
    ),
    "evolve apart": ({"schema_policy": "evolve"}, {"a": b"id,note,x,y\n1,a,b,c\n", "b": b"id,note,y\n2,p,q\n"}),
    "naming": (
        {"naming": {"note": ["{market}_{what}", "{what}"], "allowed": {"market": ["DE"]}}, "schema_policy": "evolve"},
        {"a": b"id,note,new\n1,de_a_b,z\n2,de_a,z\n3,b,z\n4,,z\nx,de_c,z\n"},
    ),
    "personal": (
        {"schema_policy": "evolve"},
        {"a": b"id,note,m\n1,,a@b.de\n2,,c@d.de\n", "b": b"id,note,m\n3,,plain\n"},
    ),
    "refused": ({"schema_policy": "quarantine"}, {"a": b"id\n1\n", "b": BODY, "c": b"id,note,z\n1,2,3\n"}),
    "frozen": ({}, {"a": b"id,note,z\n1,2,3\n"}),
    "optional": (
        {"columns": {"id": "int", "note": {"optional": True, "default": "it's"}}},
        {"a": b"id\n1\nx\n", "b": BODY},
    ),
    "key": (
        {"columns": {"id": {"type": "int", "required": True}, "v": "int"}, "key": ["id"], "latest_by": ["v"]},
        {"a": b"id,v\n1,1\n1,2\n2,5\nx,1\n", "b": b"id,v\n1,0\n2,5\n3,\n3,\n"},
    ),
    "rows left out": ({"skip_rows_where": "id is null"}, {"a": b"id,note\n1,a\n,b\nx,c\n"}),
    "partitions": (
        {"columns": {"id": "int", "p": {"type": "string", "required": True}}, "partition_by": "p"},
        {"a": "id,p\n1,a b\n2,c/d=é%\n3,\n4,'x\n5,a b\n".encode()},
    ),
    "dates": (
        {"columns": {"id": "int", "d": {"type": "date", "required": True}}, "partition_by": "d"},
        {"a": b"id,d\n1,2026-01-02\n2,2026-01-01\n3,\n4,2026-02-30\n"},
    ),
    "delivery date": ({"partition_by": "dt"}, {"a": BODY}),
}


# Others of every run read archives, gzip, encodings, dialects, records and columns that come and go.
IN_SLOW = {
    *("gzip", "tar", "cp1252", "sep", "skipped", "no quote", "carriage returns", "json records", "evolve"),
    *("single quote", "empty text", "mixed line ends", "blanks", "lines", "optional", "evolve apart", "delivery date"),
    *("pad", "several characters", "unnamed", "stray return", "length", "open quote"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in IN_SLOW else ()) for name in CASES]
)
def test_a_delivery_becomes_the_same_on_both_engines(tmp_path: Path, sail: SparkSession, name: str) -> None:
    settings, contents = CASES[name]
    agree(*compared(sail, tmp_path, {"columns": COLUMNS} | settings, contents))


def test_limits_refuse_a_file_in_the_words_of_the_embedded_engine(tmp_path: Path, sail: SparkSession) -> None:
    packed = gzip.compress(b"id,note\n" + b"1,a\n" * 5_000)
    for number, limits in enumerate((Limits(rows=9), Limits(unpacked=1 << 10), Limits(ratio_from=1, ratio=2))):
        embedded, spark = compared(sail, tmp_path / str(number), {"columns": COLUMNS}, {"a": packed}, limits=limits)
        assert "allowed" in embedded.bad[0] or "times" in embedded.bad[0]
        agree(embedded, spark)


def test_a_bad_file_is_left_out_and_reported_where_the_plan_says_so(tmp_path: Path, sail: SparkSession) -> None:
    contents = [BODY, gzip.compress(BODY)[:-5], b"id\n1\n", b"id,note\n7,z\rq\n", b"id,note\n1,z\n"]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    paths = [tmp_path / str(number) for number in range(len(contents))]
    contract = Contract.model_validate({"columns": COLUMNS})

    plan = plan_of(contract, paths, bad_file="quarantine")
    result = carry_out(sail, plan, f"{tmp_path}/out/", Objects(plan.region))

    assert [(each.origin, each.reason) for each in result.bad] == [
        ("file-1", "damaged"),
        ("file-2", "layout"),
        ("file-3", "layout"),
    ]
    assert [(each.origin, each.rows_in) for each in result.counts] == [("file-0", 5), ("file-4", 1)]
    good = on_duckdb(plan_of(contract, [paths[0], paths[4]]), tmp_path / "embedded")
    assert {row[1:] for row in good.quarantine} == {row[1:] for row in _outcome(result).quarantine}
    refused = carry_out(sail, plan_of(contract, paths), f"{tmp_path}/other/", Objects(plan.region))
    assert {each.origin for each in refused.bad} == {"file-1", "file-2", "file-3"}
    assert not refused.counts and not refused.clean


def _outcome(result: JobResult) -> Any:
    return outcome_of(result.model_copy(update={"bad": ()}))


def test_the_script_reads_a_plan_and_writes_the_result_last(
    tmp_path: Path, sail_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", sail_url)
    (tmp_path / "a.csv").write_bytes(BODY)
    plan = plan_of(Contract.model_validate({"columns": COLUMNS}), [tmp_path / "a.csv"])
    (tmp_path / "plan.json").write_text(plan.model_dump_json(), encoding="utf-8")

    main(["--plan", str(tmp_path / "plan.json"), "--output", f"{tmp_path}/out/", "--JOB_NAME", "x"])

    written = JobResult.model_validate_json((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert written.sha256 == {"file-0": hashlib.sha256(BODY).hexdigest()}
    assert written.counts == (FileCount("file-0", 5, 2, 0, 3),)
    assert [(each.rows, each.size) for each in written.clean] == [(2, Path(written.clean[0].uri).stat().st_size)]
    others = [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.name != "result.json"]
    assert (tmp_path / "out/result.json").stat().st_mtime_ns >= max(others)


def test_a_contract_that_cannot_be_computed_is_a_failure_of_the_result(tmp_path: Path, sail: SparkSession) -> None:
    (tmp_path / "a.csv").write_bytes(BODY)
    contract = Contract.model_validate({"columns": COLUMNS | {"note": {"type": "string", "pii": {"kind": "email"}}}})
    plan = plan_of(contract, [tmp_path / "a.csv"])
    result = carry_out(sail, plan, f"{tmp_path}/out/", Objects(plan.region), lambda _: Keys())
    assert "no hashing key was given" in result.failure
    assert not (tmp_path / "out/clean").exists()


@pytest.mark.parametrize(("seed", "partition_by"), [pytest.param(31, "dt", marks=pytest.mark.slow), (32, "day")])
def test_random_deliveries_with_personal_data_come_to_the_truth(
    tmp_path: Path, sail: SparkSession, seed: int, partition_by: str | None
) -> None:
    truth = oracle.make(tmp_path / "in", seed, partition_by)
    plan = plan_of(truth.contract, [file.path for file in truth.files])
    agree(
        on_duckdb(plan, tmp_path / "embedded", oracle.KEY),
        on_spark(sail, plan, tmp_path / "spark", Keys(oracle.KEY, load_key)),
    )


def test_an_address_in_a_late_row_of_an_undeclared_column_is_found_as_by_the_embedded_engine(
    tmp_path: Path, sail: SparkSession
) -> None:
    rows = [f"{n},,ann{n}" for n in range(130_000)]
    rows[-1] = "1,see logo@2x.png,ann@example.com"
    (tmp_path / "a.csv").write_text("\n".join(["id,note,who", *rows]), encoding="utf-8")
    settings = {"columns": COLUMNS, "schema_policy": "evolve", "undeclared_personal": "clear"}
    plan = plan_of(Contract.model_validate(settings), [tmp_path / "a.csv"])
    made = carry_out(sail, plan, f"{tmp_path}/out/", Objects(plan.region)).clean
    assert sum((Counter(each.addresses) for each in made), Counter()) == {"who": 1}
    assert sum(pq.read_metadata(each.uri).num_row_groups for each in made) > 1
    file = InputFile(tmp_path / "a.csv", "a", 0)
    staged = transform(plan.contract, [file], DAY, None, tmp_path / "work", EngineLimits("512MB"))
    here = scan_for_leaks([each.path for each in staged.files], plan.contract)
    there = scan_for_leaks(
        [Path(each.uri) for each in made], plan.contract, addresses=[each.addresses for each in made]
    )
    assert here == there
    assert here.suspicions == (Suspicion("who", 1),)


@pytest.mark.parametrize("block", [3, 7, 64])
def test_records_are_the_same_wherever_the_blocks_of_a_file_end(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'id,note\n1,a\n2,"b\n\nc"\n\n3,d,e\nx,"f""g"\n4,"h"i\n5,\xff\n"6","j"\n7,k\xc3\xa9'
    for text in (body, body.replace(b"\n", b"\r\n")):
        (tmp_path / "a").write_bytes(text)
        found = [_split(tmp_path / "a")]
        monkeypatch.setattr(splitting, "_BLOCK", block)
        found.append(_split(tmp_path / "a"))
        monkeypatch.undo()
        assert found[0] == found[1]
        assert len(found[0]) == 5 + 3


@pytest.mark.parametrize(
    "settings",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ({}, {"escape": "\\"}, {"delimiter": " "})),
        {"delimiter": " ", "escape": "\\"},
    ],
    ids=str,
)
def test_records_that_are_split_together_are_as_if_each_were_split_alone(
    tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, fmt, together = random.Random(f"{settings}"), FileFormat.model_validate(settings), 0
    pieces = ["a", "b", ",", ",", " ", '"x', '"', '",', ' "', '" ', '""', "\\", '\\"', "\\\\", "\n", "\n", ',"', '"\n']
    for _ in range(400):
        text = "".join(draw.choices(pieces, k=40)).replace(",", fmt.delimiter)
        rows = "".join(draw.choices(['1,"a"\n', '2, "b\\"\n', '3,"c" \n', '"4",d \n'], k=3)).replace(",", fmt.delimiter)
        (tmp_path / "a").write_text(f"id{fmt.delimiter}note\n{rows}{text}", encoding="utf-8")
        found = _split(tmp_path / "a", fmt)
        monkeypatch.setattr(splitting._Splitter, "_many", _none_at_once)
        assert found == _split(tmp_path / "a", fmt), text
        monkeypatch.undo()
        together += len(found)
    assert together > 400


def _none_at_once(self: Any, text: bytes, at: int, final: bool) -> Any:
    yield from ()
    return at


def _split(path: Path, fmt: FileFormat | None = None) -> list[Any]:
    fmt, count = fmt or FileFormat(), splitting.Count()
    head = path.read_bytes().index(b"\n") + 1
    shape = splitting.Shape(2, head, 1)
    found: list[Any] = []
    for each in splitting.split(InputFile(path, "a", 0), fmt, splitting.Splitting.of(fmt), shape, count):
        if isinstance(each, splitting.Rows):
            texts = zip(*(column.to_pylist() for column in each.columns), strict=True)
            found += zip(each.numbers.tolist(), each.lines.tolist(), each.places.tolist(), texts, strict=True)
        else:
            found.append((each.line, each.byte_position, each.reasons, each.raw))
    return sorted(found, key=repr)


QUICK = ("file cases", "broken quotes")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CORPORA])
def test_the_deliveries_of_a_corpus_become_the_same_on_both_engines(
    tmp_path: Path, sail: SparkSession, name: str
) -> None:
    wrong = {
        each: difference
        for number, (each, delivered) in enumerate(CORPORA[name]().items())
        if (difference := difference_of(sail, tmp_path / str(number), delivered))
    }
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "name"), [(c, n) for c, make in EXHAUSTIVE.items() for n in make()])
def test_a_delivery_of_a_corpus_becomes_the_same_on_both_engines(
    tmp_path: Path, sail: SparkSession, corpus: str, name: str
) -> None:
    assert difference_of(sail, tmp_path, EXHAUSTIVE[corpus]()[name]) == ""


def test_objects_and_the_key_come_from_aws_in_the_version_that_the_plan_names(
    aws: Aws, aws_endpoint: str, sail: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    s3, secrets, bucket = aws.client("s3"), aws.client("secretsmanager"), new_bucket(aws)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    body = gzip.compress(b"id,mail\n1,ann@example.com\nx,b@example.com\n")
    version = s3.put_object(Bucket=bucket, Key="a.csv", Body=body)["VersionId"]
    s3.put_object(Bucket=bucket, Key="a.csv", Body=b"something else")
    key = create_key(secrets, bucket, lambda size: bytes(range(size)))
    columns = {"id": {"type": "int", "required": True}, "mail": {"pii": {"kind": "email"}}}
    file = PlannedFile(uri=f"s3://{bucket}/a.csv", version=version, origin="a", ordinal=0, size=1)
    plan = JobPlan(
        contract=Contract.model_validate({"columns": columns}),
        day=DAY,
        files=(file,),
        key_secret=bucket,
        key_id=key.id,
        region=aws.region,
    )

    result = carry_out(sail, plan, f"s3://{bucket}/out/", Objects(aws.region))
    assert "ann@example.com" not in result.model_dump_json()
    assert result.counts == (FileCount("a", 2, 1, 0, 1),)
    assert result.sha256 == {"a": hashlib.sha256(body).hexdigest()}
    [clean] = result.clean
    stored = s3.get_object(Bucket=bucket, Key=clean.uri.removeprefix(f"s3://{bucket}/"))["Body"].read()
    [row] = pq.read_table(io.BytesIO(stored)).to_pylist()
    assert (row["mail_lake"], row["_pii_key_id"]) == (key.hmac("ann@example.com"), key.id)
    other = plan.model_copy(update={"key_id": "another"})
    replaced = carry_out(sail, other, f"s3://{bucket}/other/", Objects(aws.region))
    assert replaced.failure.startswith("hashing key 'another' of the plan was replaced") and not replaced.clean


def test_a_lenient_column_has_no_value_where_it_breaks_the_contract_and_its_row_stays(
    tmp_path: Path, sail: SparkSession
) -> None:
    lenient: dict[str, Any] = {"lenient": True}
    columns = [
        {"name": "id", "type": "bigint", "required": True},
        {"name": "n", "type": "bigint", **lenient},
        {"name": "cost", "type": "decimal(18,6)", "min": 0, **lenient},
    ]
    rows = '{"id": 1, "n": 0.5, "cost": 1}\n{"id": 2, "n": "2", "cost": "x"}\n{"id": 3, "n": "x", "cost": -1}\n'
    contract = {"columns": columns, "format": {"kind": "ndjson"}}
    embedded, spark = compared(
        sail, tmp_path, contract, {"a": f'{rows}{{"id": "x", "n": "x"}}\n{{"id": 4}}\n'.encode()}
    )
    agree(embedded, spark)
    assert embedded.reasons == {"bad_bigint:id": 1}
    assert embedded.emptied == {"bad_bigint:n": 2, "bad_decimal:cost": 1, "below_min:cost": 1}
    assert sum(embedded.clean.values()) == 4
