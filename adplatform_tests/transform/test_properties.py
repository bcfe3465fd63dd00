"""Whatever bytes arrive, every record is accounted for or the delivery is refused."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adplatform.contracts.model import Contract
from adplatform.failures import PermanentFailure
from adplatform.files.input_file import InputFile
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform_tests.support.examples import examples
from adplatform_tests.transform.outcome import quarantine_rows

FEED = Contract.model_validate(
    {
        "columns": {"a": {"type": "int", "required": True}, "b": "string", "c": "timestamp"},
        "key": "a",
        "latest_by": "c",
    }
)
PIECES = st.sampled_from(
    [
        b",",
        b'"',
        b'""',
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"1,x,\n",
        b'2,"y\nz",\n',
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"a,b,c\n",
    ]
)
CONTENT = st.lists(PIECES | st.binary(max_size=6), max_size=25).map(b"".join)


@given(contents=st.lists(CONTENT, min_size=1, max_size=2))
@example(contents=[b"1,x,\n1,x"])
@example(contents=[b'1,"x\r\n'])
@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_bytes_are_counted_or_refused(contents: list[bytes]) -> None:
    with TemporaryDirectory() as directory:
        files = []
        for ordinal, content in enumerate(contents):
            path = Path(directory) / f"{ordinal}.csv"
            path.write_bytes(b"a,b,c\n" + content)
            files.append(InputFile(path, f"s3://raw/{ordinal}", ordinal))
        try:
            staged = transform(FEED, files, date(2026, 3, 14), None, Path(directory) / "work", EngineLimits("256MB"))
        except PermanentFailure:
            return
        for count, content in zip(staged.counts, contents, strict=True):
            assert count.rows_in == count.clean + count.superseded + count.quarantined
            if b'"' not in content and b"\r" not in content:
                assert count.rows_in == sum(1 for line in content.split(b"\n") if line)
        assert sum(file.rows for file in staged.files) == staged.clean
        quarantined = quarantine_rows([staged.quarantine] if staged.quarantine else [])
        assert len(quarantined) == staged.quarantined
        for row in quarantined:
            if row["raw"] and row["raw"][:1].isascii():
                content = b"a,b,c\n" + contents[int(row["source_file"][-1])]
                start = content[row["byte_position"] :][:1]
                assert not start.isascii() or start.decode() == row["raw"][:1]
