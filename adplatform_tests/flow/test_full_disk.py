"""A disk that is full, and a limit of the size of files, hinder the work: people hear where and by which error."""

import errno
import gzip
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import pytest

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.failures import EnvironmentFailure, TransientFailure, local_failure
from adplatform.files import budget
from adplatform.files.input_file import InputFile
from adplatform.files.unpack import unpack
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.version import save
from adplatform.lake.limited import limited
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.duckdb_engine import EngineLimits, transform
from adplatform.transform.exhaustion import ran_out
from adplatform_tests.support.plainly import PROCESSES
from adplatform_tests.support.platforms import YESTERDAY, make_platform
from adplatform_tests.support.small_disk import small_disk

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CONTRACT = Contract.model_validate({"columns": {"id": "bigint", "name": "string"}})
ROWS = 60_000


@cache
def csv_text() -> bytes:
    """4 MB, which cannot be packed well."""
    return b"id,name\n" + b"".join(b"%d,%s\n" % (n, os.urandom(30).hex().encode()) for n in range(ROWS))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One of 3 MB."""
    with small_disk(tmp_path / "small", 3) as made:
        yield made


def transformed(file: Path, work: Path, memory: str = "1GB") -> None:
    transform(CONTRACT, [InputFile(file, "file:1", 0)], date(2026, 3, 1), None, work, EngineLimits(memory))


def test_a_file_that_does_not_fit_when_it_is_unpacked_hinders(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "o.csv.gz").write_bytes(gzip.compress(csv_text(), 1))
    with pytest.raises(EnvironmentFailure) as hindered:
        unpack(tmp_path / "o.csv.gz", "file:1", FileFormat(), disk, 0)
    assert str(hindered.value).startswith(f"file:1: local disk: No space left on device [ENOSPC] ({disk}). Make room")
    assert hindered.value.cause == f"local disk: {errno.ENOSPC}"
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("memory", ["1GB", "24MB"], ids=["result", "spill"])
def test_a_result_or_what_does_not_fit_into_memory_hinders_where_the_disk_is_full(
    disk: Path, tmp_path: Path, memory: str
) -> None:
    (tmp_path / "o.csv").write_bytes(csv_text())
    with pytest.raises(EnvironmentFailure) as hindered:
        transformed(tmp_path / "o.csv", disk / "work", memory)
    assert "DuckDB: local disk: No space left on device" in str(hindered.value)
    assert f"({disk}" in str(hindered.value)
    assert "Make room" in str(hindered.value)
    assert hindered.value.cause == f"local disk: {errno.ENOSPC}"


def test_work_on_a_table_says_that_the_disk_is_full_not_the_memory(disk: Path) -> None:
    much = "create table t as select i, md5(i::varchar) as m from range(1_000_000) as r(i)"
    full = pytest.raises(EnvironmentFailure, match=rf"local disk: No space left on device .*{disk}")
    with full, limited("24MB", 1, disk) as con:
        con.execute(much)


def test_memory_that_ran_out_is_not_taken_for_the_disk(tmp_path: Path) -> None:
    error = duckdb.OutOfMemoryException("could not allocate block of size 256.0 KiB (59.9 MiB/60.0 MiB used)")
    told = ran_out("it", error, tmp_path)
    assert type(told) is TransientFailure
    assert str(told) == "it: DuckDB ran out of memory; raise ADPLATFORM_MEMORY_LIMIT if it does so again"


def test_a_download_that_would_fill_the_disk_is_not_begun(disk: Path) -> None:
    class Body:
        def iter_chunks(self, size: int) -> Iterator[bytes]:
            raise AssertionError("it was begun")

    with pytest.raises(EnvironmentFailure, match=rf"file:1: the local disk of {disk} has 3,145,728 bytes free"):
        save(Body(), disk / "o.csv", 4 << 20, "file:1")
    assert list(disk.iterdir()) == []


def test_what_fails_in_a_work_directory_names_it(disk: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device") as full, private_directory(disk, "run") as work:
        (work / "much").write_bytes(bytes(4 << 20))
    assert str(full.value.filename) == str(work)
    assert list(disk.glob("run*")) == []


@pytest.mark.parametrize(
    ("number", "action"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EFBIG, "`ulimit -f`"),
        (errno.EMFILE, "`ulimit -n`"),
        (errno.ENOMEM, "more memory"),
    ],
)
def test_each_error_of_the_machine_is_told_with_its_number_and_what_helps(number: int, action: str) -> None:
    told = local_failure("it", OSError(number, "Error writing bytes to file. Detail"), Path("/work"))
    assert isinstance(told, EnvironmentFailure)
    assert str(told).startswith(f"it: local disk: {os.strerror(number)} [{errno.errorcode[number]}] (/work). ")
    assert action in str(told)


def of_small_files(packed: Path, plain: Path, work: Path, said: "Connection") -> None:
    """What each kind of work says in a process whose files may have a megabyte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    def written() -> None:
        with aws_failures("it"), private_directory(work, "run") as own:
            (own / "much").write_bytes(bytes(4 << 20))

    for act in (
        lambda: unpack(packed, "it", FileFormat(), work, 0),
        lambda: transformed(plain, work / "result"),
        lambda: transformed(plain, work / "spill", "24MB"),
        written,
    ):
        try:
            act()
            said.send("done")
        except EnvironmentFailure as e:
            said.send(str(e))
    said.close()


def test_a_limit_of_the_size_of_files_hinders_and_says_which(tmp_path: Path) -> None:
    packed, plain, work = tmp_path / "o.csv.gz", tmp_path / "o.csv", tmp_path / "work"
    packed.write_bytes(gzip.compress(csv_text(), 1))
    plain.write_bytes(csv_text())
    work.mkdir()
    ours, its = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=of_small_files, args=(packed, plain, work, its))
    child.start()
    its.close()
    said = [ours.recv() for _ in range(4)]
    child.join(60)
    assert child.exitcode == 0
    for line in said:
        assert "local disk: File too large [EFBIG] (" in line
        assert str(work) in line
        assert "`ulimit -f`" in line


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are downloaded as if there were room, so that the disk is full in the middle of one."""
    monkeypatch.setattr(budget, "_SPARE", -(1 << 40))


@pytest.mark.usefixtures("roomy")
def test_a_delivery_waits_for_room_without_spending_an_attempt(
    services: Services, instance: dg.DagsterInstance, disk: Path
) -> None:
    tight = replace(services, settings=replace(services.settings, home=disk))
    feed: dict[str, Any] = {
        "name": "orders",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "done_file"},
        "columns": {"id": "bigint", "name": "string"},
    }
    platform = make_platform(tight, {"source": "acme", "feeds": [feed]}, instance)
    platform.put(f"orders/dt={YESTERDAY}/o.csv", csv_text())
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")
    [failed] = [platform.run(request) for request in platform.tick()]
    assert not failed.success
    delivery = platform.delivery("orders")
    assert "local disk: No space left on device [ENOSPC]" in delivery.error
    assert str(disk) in delivery.error
    assert (delivery.permanent, delivery.attempt, delivery.hindered) == (False, 1, 1)
    assert not list((disk / "tmp").glob("*/"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    services.ledger.deliveries.retry("acme/orders", delivery)
    [done] = platform.process()
    assert done.success
    assert platform.delivery("orders").state is DeliveryState.PUBLISHED
    assert platform.query("select count(*) from {orders}") == [(ROWS,)]
