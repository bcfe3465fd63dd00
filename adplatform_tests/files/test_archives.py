"""Which members of archives are read, and tars: what is inside comes out unchanged, or is refused without a trace."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.limits import Limits
from adplatform.files.bad_file import BadFile, Reason
from adplatform.files.compression import MOST_MEMBERS
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform_tests.support.examples import examples
from adplatform_tests.support.tars import END, entry, tarred

ORIGIN = "file:1"
ROWS = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (i, i * 7) for i in range(500))
CSV = FileFormat()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def unpacked(tmp_path: Path, data: bytes, fmt: FileFormat = CSV, limits: Limits | None = None) -> list[InputFile]:
    delivered, work = tmp_path / "delivered", tmp_path / "work"
    delivered.write_bytes(data)
    work.mkdir(exist_ok=True)
    try:
        return list(unpack(delivered, ORIGIN, fmt, work, 3, limits or Limits()))
    except BadFile:
        assert list(work.iterdir()) == []
        raise


def refusal(tmp_path: Path, data: bytes, fmt: FileFormat = CSV, limits: Limits | None = None) -> BadFile:
    with pytest.raises(BadFile) as refused:
        unpacked(tmp_path, data, fmt, limits)
    return refused.value


PACK = {"zip": zipped, "tar": tarred, "tar.gz": lambda m: gzip.compress(tarred(m))}
READ = {"a.csv": b"id\n1\n", "out/B.CSV": b"id\n2\n"}
BESIDE = {"README.txt": b"hello", "out/terms.pdf": b"%PDF\x00"}


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("members", ["*.csv", ["a.csv", "out/*.csv"], ["A.*", "*/b.???"], "*[vV]"])
def test_members_are_chosen_by_name_or_path_in_any_case_and_the_others_counted(
    tmp_path: Path, pack: str, members: object
) -> None:
    fmt = FileFormat.model_validate({"members": members})
    files = unpacked(tmp_path, PACK[pack]({**READ, **BESIDE}), fmt)
    assert [file.path.read_bytes() for file in files] == list(READ.values())
    assert {file.skipped for file in files} == {2}


@pytest.mark.parametrize("pack", PACK)
def test_members_are_called_by_their_place_among_all_files(tmp_path: Path, pack: str) -> None:
    everything = {"a.txt": b"x", "b.csv": b"id\n1\n", ".c.csv": b"x", "d.csv": b"id\n2\n"}
    files = unpacked(tmp_path, PACK[pack](everything), FileFormat(members=("*.csv",)))
    assert [(file.origin, file.ordinal) for file in files] == [(f"{ORIGIN}#2", 3), (f"{ORIGIN}#3", 4)]


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("members", ["*.tsv", "in/*.csv", "csv"])
def test_an_archive_of_which_nothing_is_read_says_how_many_files_it_has(
    tmp_path: Path, pack: str, members: str
) -> None:
    refused = refusal(tmp_path, PACK[pack]({**READ, **BESIDE}), FileFormat(members=(members,)))
    assert refused.reason is Reason.LAYOUT
    assert f"archive with 4 files, and none is of those that members names ({members})" in str(refused)
    assert "README" not in str(refused)


def test_a_feed_that_says_members_reads_files_in_no_archive_as_ever(tmp_path: Path) -> None:
    fmt = FileFormat(members=("*.csv",))
    for data in (ROWS, gzip.compress(ROWS)):
        [file] = unpacked(tmp_path, data, fmt)
        assert (file.path.read_bytes(), file.skipped) == (ROWS, 0)


def test_a_member_that_is_no_data_says_how_to_leave_it_out(tmp_path: Path) -> None:
    for beside in (b"%PDF\0", zipped({"c.csv": ROWS})):
        data = tarred({"a.csv": ROWS, "b": beside})
        assert "say which files of the archive are read as members in the feed" in str(refusal(tmp_path, data))
        assert "as members in" not in str(refusal(tmp_path, data, FileFormat(members=("*",))))
    assert "as members in" not in str(refusal(tmp_path, b"\0"))


def test_one_pattern_is_a_list_of_one_and_survives_being_stored() -> None:
    fmt = FileFormat.model_validate({"members": "*.csv"})
    assert fmt.members == ("*.csv",)
    assert FileFormat.model_validate_json(fmt.model_dump_json()) == fmt
    with pytest.raises(ValueError, match="a pattern of members is empty"):
        FileFormat.model_validate({"members": ["*.csv", " "]})


@pytest.mark.parametrize("flags", [0x1, 0x2000])
def test_a_member_with_a_password_is_in_the_way_only_where_it_is_read(tmp_path: Path, flags: int) -> None:
    data = bytearray(zipped({"a.csv": ROWS, "b.txt": b"secret"}))
    local, central = data.index(b"PK\x03\x04", 5), data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[local + 6 : local + 8] = data[central + 8 : central + 10] = flags.to_bytes(2, "little")
    assert "password" in str(refusal(tmp_path, bytes(data)))
    [file] = unpacked(tmp_path, bytes(data), FileFormat(members=("*.csv",)))
    assert (file.path.read_bytes(), file.skipped) == (ROWS, 1)


def test_a_data_file_whose_name_was_damaged_into_one_that_is_skipped_is_not_lost(tmp_path: Path) -> None:
    archive = zipped({"data.csv": ROWS, "other.csv": ROWS})
    at = archive.index(b"data.csv", archive.index(b"PK\x01\x02"))
    damaged = archive[:at] + b"data.txt" + archive[at + 8 :]
    assert refusal(tmp_path, damaged, FileFormat(members=("*.csv",))).reason is Reason.DAMAGED


FORMS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["tar", "gzip", "zstd"])
def test_members_of_a_tar_come_as_they_lie_in_it(tmp_path: Path, form: str, pack: object) -> None:
    assert callable(pack)
    long = "a" * 60 + "/" + "b" * 60 + "/ä.csv" if form != "ustar" else "a/b.csv"
    members = {
        long: ROWS,
        "z.csv": b"",
        "./c/d.csv.gz": gzip.compress(b"id\n2\n"),
        "._z.csv": b"\0",
        "e.csv": b"1\n" * 256,
    }
    files = unpacked(tmp_path, pack(tarred(members, FORMS[form])))
    assert [(f.origin, f.ordinal, f.path.read_bytes()) for f in files] == [
        (f"{ORIGIN}#1", 3, ROWS),
        (f"{ORIGIN}#3", 4, b"id\n2\n"),
        (f"{ORIGIN}#4", 5, b"1\n" * 256),
    ]


def test_the_size_that_an_extended_header_says_counts(tmp_path: Path) -> None:
    record = b"12 size=512\n"
    data = entry("x", tarfile.XHDTYPE, len(record)) + record.ljust(512, b"\0")
    data += entry("a.csv", tarfile.REGTYPE, 0) + b"1\n" * 256 + END
    [file] = unpacked(tmp_path, data)
    assert file.path.read_bytes() == b"1\n" * 256


def test_parquet_in_a_tar_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), buffer)
    [file] = unpacked(tmp_path, tarred({"a.parquet": buffer.getvalue()}), FileFormat(kind="parquet"))
    assert pq.read_table(file.path).to_pydict() == {"id": [1, 2]}


SPARSE = b"22 GNU.sparse.major=1\n"
STRANGE = {
    "a link": entry("a.csv", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": entry("a.csv", tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a device": entry("a.csv", tarfile.CHRTYPE),
    "a pipe": entry("a.csv", tarfile.FIFOTYPE),
    "a sparse file": entry("a.csv", tarfile.GNUTYPE_SPARSE),
    "another sparse file": entry("x", tarfile.XHDTYPE, len(SPARSE))
    + SPARSE.ljust(512, b"\0")
    + entry("a.csv", tarfile.REGTYPE),
    "a member of a kind": entry("a.csv", b"Z"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_is_refused_by_its_kind_or_skipped(tmp_path: Path, kind: str) -> None:
    data = STRANGE[kind] + tarred({"b.csv": ROWS})
    refused = refusal(tmp_path, data)
    assert refused.reason is Reason.UNSAFE_ARCHIVE
    assert f"holds {kind.replace('another', 'a').replace('hard ', '')}" in str(refused)
    [file] = unpacked(tmp_path, data, FileFormat(members=("b*",)))
    assert (file.path.read_bytes(), file.skipped) == (ROWS, 1)


@pytest.mark.parametrize("name", ["../o.csv", "a/../../o.csv", "/etc/passwd", "C:\\o.csv", "..\\o.csv"])
def test_a_member_that_points_outside_is_refused_read_or_not(tmp_path: Path, name: str) -> None:
    data = tarred({"a.csv": ROWS, name: ROWS})
    for fmt in (CSV, FileFormat(members=("a.csv",))):
        assert refusal(tmp_path, data, fmt).reason is Reason.UNSAFE_ARCHIVE


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (tarred({"a.csv": b"1\n" * 256})[:1024], Reason.DAMAGED, "truncated tar"),
        (tarred({"a.csv": ROWS})[:2000], Reason.DAMAGED, "truncated tar"),
        (tarred({"a.csv": ROWS}) + tarred({"b.csv": ROWS}), Reason.DAMAGED, "followed by other data"),
        (entry("a.csv", tarfile.REGTYPE, 512) + b"1\n" * 256 + b"x" * 512 + END, Reason.DAMAGED, "damaged tar"),
        (gzip.compress(tarred({"a.csv": ROWS}))[:-4], Reason.DAMAGED, "gzip data is truncated"),
        (tarred({}), Reason.LAYOUT, "binary data"),
        (tarred({".hidden": b"x"}), Reason.LAYOUT, "tar archive without a data file"),
        (entry("a", tarfile.REGTYPE) * 2 + END, Reason.UNSAFE_ARCHIVE, "two members of one name"),
        (tarred({"a.zip": zipped({"b.csv": ROWS})}), Reason.UNEXPECTED_COMPRESSION, "a zip inside a tar"),
        (tarred({"a.tar": tarred({"b.csv": ROWS})}), Reason.UNEXPECTED_COMPRESSION, "a tar inside an archive"),
        (zipped({"a.tar": tarred({"b.csv": ROWS})}), Reason.UNEXPECTED_COMPRESSION, "a tar inside an archive"),
        (tarred({"a.gz": gzip.compress(gzip.compress(ROWS))}), Reason.UNEXPECTED_COMPRESSION, "compressed twice"),
        (entry("x", tarfile.XHDTYPE, 9) + b"9 path=a\n".ljust(512, b"\0") + END, Reason.LAYOUT, "without a data file"),
        (entry("x", tarfile.XHDTYPE, 9) + b"99 path=a".ljust(512, b"\0") + END, Reason.DAMAGED, "damaged tar"),
        (entry("x", tarfile.XHDTYPE, 1 << 20) + bytes(1 << 20) + END, Reason.UNSAFE_ARCHIVE, "header of more than"),
        (entry("x", tarfile.GNUTYPE_LONGNAME, 1 << 20) + bytes(1 << 20), Reason.UNSAFE_ARCHIVE, "header of more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_with_a_tar_is_told(tmp_path: Path, data: bytes, reason: Reason, said: str) -> None:
    refused = refusal(tmp_path, data)
    assert (refused.reason, said in str(refused)) == (reason, True)


def test_a_tar_of_too_many_files_is_refused(tmp_path: Path) -> None:
    data = b"".join(entry(f"{n}.csv", tarfile.REGTYPE) for n in range(MOST_MEMBERS + 1)) + END
    refused = refusal(tmp_path, data)
    assert (refused.reason, "more than 10,000 files" in str(refused)) == (Reason.TOO_LARGE, True)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_a_tar_with_damage_anywhere_is_read_as_it_was_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Nothing but a BadFile comes of a changed byte of a header, and no other content of the rest."""
    whole = bytearray(tarred({"a.csv": b"id\n1\n", "b" * 120: b"id\n2\n"}))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        files = unpacked(tmp_path_factory.mktemp("tar"), bytes(whole))
    except BadFile as e:
        assert e.reason is not Reason.TOO_LARGE
        return
    assert len(files) == 2
