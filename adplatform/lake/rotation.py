"""A table partitioned by a column, on its way to another hashing key: its deliveries are staged one by one, each a new
version of which nobody sees anything, and then shown together."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.aws_errors import aws_failures
from adplatform.lake.attempt import Attempt, Flip, require, upload
from adplatform.lake.lake import Lake
from adplatform.lake.slices import place_together, stage
from adplatform.lake.table import TableSpec
from adplatform.transform.values import Staged


def stage_version(
    lake: Lake,
    table: TableSpec,
    day: date,
    version: int,
    staged: Staged,
    *,
    run_id: str,
    temp: Path,
    key_id: str,
    manifest: str,
) -> None:
    """Upload a version and remember its slices. May be repeated; the last one counts.

    Raises:
        PermanentFailure: the table cannot take the columns, or AWS does not allow it.
        TransientFailure: another publisher was in the way, or AWS did not answer.
    """
    attempt = Attempt(table, day, version, run_id, f"{day}-{version:04d}-{lake.token()}", "", key_id, manifest)
    with aws_failures(f"table {table.qualified}"), TemporaryDirectory(dir=temp) as work:
        lake.catalog.check(table)
        uploads = upload(lake, attempt, staged, Path(work))
        with lake.alone(table.feed, run_id) as lease:
            require(lake, uploads)
            stage(lake, lease, attempt, uploads)


def show_together(
    lake: Lake, table: TableSpec, versions: Mapping[date, tuple[int, str]], *, run_id: str, temp: Path, key_id: str
) -> tuple[Flip, ...]:
    """Lead the readers of ``table`` to staged versions; ``versions`` maps days to a version and its settlement.

    Raises:
        PermanentFailure: files of a slice are gone, or AWS does not allow it.
        TransientFailure: a delivery was published under another key meanwhile, another publisher was in the way, or AWS
            did not answer.
    """
    token = f"rotation-{key_id}-{lake.token()}"
    attempts = [
        Attempt(table, day, version, run_id, token, "", key_id, manifest)
        for day, (version, manifest) in sorted(versions.items())
    ]
    with (
        aws_failures(f"table {table.qualified}"),
        TemporaryDirectory(dir=temp) as work,
        lake.alone(table.feed, run_id) as lease,
    ):
        return place_together(lake, lease, attempts, Path(work))
