"""What the S3 endpoint must write so that changes can be merged: every change, its order, its time, its columns."""

from collections.abc import Callable, Iterator
from typing import Any

from adplatform.engines.dms_settings.documents import Checked
from adplatform.engines.dms_settings.mappings import overlap
from adplatform.engines.dms_settings.rule import Rule, Severity, Spot
from adplatform.failures import listed

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SMALL_FILE_KB = 32_000
SHORT_BATCH_SECONDS = 60
_SURE_TOKEN = 8
"""Characters from which on a token for NULL is taken for something that no data holds, if not all are alphanumeric."""
_UTC = ("", "utc", "etc/utc", "gmt", "etc/gmt", "universal", "zulu")


def flag(name: str, wrong: bool) -> Callable[[Checked], Iterator[Spot]]:
    """Where a flag of S3Settings is ``wrong``."""

    def applies(checked: Checked) -> Iterator[Spot]:
        if checked.target.flag(name) is wrong:
            yield Spot(checked.target.where(name), {"tables": tables(checked)})

    return applies


def of_changes(applies: Callable[[Checked], Iterator[Spot]]) -> Callable[[Checked], Iterator[Spot]]:
    """The same where the task captures changes."""
    return lambda checked: applies(checked) if checked.changes else iter(())


def of_csv(applies: Callable[[Checked], Iterator[Spot]]) -> Callable[[Checked], Iterator[Spot]]:
    return lambda checked: applies(checked) if checked.csv else iter(())


def tables(checked: Checked) -> str:
    """The tables of a task as its mappings name them."""
    return listed(rule.name for rule in checked.mappings.selections) or "the tables"


def s3(**settings: Any) -> dict[str, Any]:
    return {"S3Settings": settings}


def _no_timestamp(checked: Checked) -> Iterator[Spot]:
    if not checked.target.text("TimestampColumnName").strip():
        yield Spot(checked.target.where("TimestampColumnName"))


def _transactions_with_others(checked: Checked) -> Iterator[Spot]:
    target = checked.target
    if not target.flag("PreserveTransactions"):
        return
    others = [n for n in ("DatePartitionEnabled", "AddColumnName", "GlueCatalogGeneration") if target.flag(n)]
    others += [] if checked.csv else ["DataFormat=parquet"]
    if others:
        yield Spot(target.where("PreserveTransactions"), {"others": " and ".join(others)})


def _transactions_nowhere(checked: Checked) -> Iterator[Spot]:
    if checked.target.flag("PreserveTransactions") and not checked.target.text("CdcPath").strip():
        yield Spot(checked.target.where("CdcPath"))


def _token(checked: Checked) -> Iterator[Spot]:
    token = checked.target.text("CsvNullValue")
    if len(token.strip()) < _SURE_TOKEN or token.replace(" ", "").isalnum():
        yield Spot(checked.target.where("CsvNullValue"), {"token": repr(token)})


def _unknown_as_null(checked: Checked) -> Iterator[Spot]:
    target = checked.target
    token = target.text("CsvNoSupValue")
    if not target.flag("UseCsvNoSupValue") or token in ("", target.text("CsvNullValue")):
        yield Spot(target.where("UseCsvNoSupValue"))


def _load_time(checked: Checked) -> Iterator[Spot]:
    if checked.loads and not checked.target.flag("UseTaskStartTimeForFullLoadTimestamp"):
        yield Spot(checked.target.where("UseTaskStartTimeForFullLoadTimestamp"))


def _milliseconds(checked: Checked) -> Iterator[Spot]:
    if not checked.csv:
        yield from flag("ParquetTimestampInMillisecond", True)(checked)


def _local_dates(checked: Checked) -> Iterator[Spot]:
    zone = checked.target.text("DatePartitionTimezone").strip()
    if checked.target.flag("DatePartitionEnabled") and zone.lower() not in _UTC:
        yield Spot(checked.target.where("DatePartitionTimezone"), {"zone": zone})


def _same_place(checked: Checked) -> Iterator[Spot]:
    bucket, ours = checked.target.text("BucketName"), checked.mappings.selections
    for other in checked.others or ():
        if not bucket or (other.bucket, other.folder.strip("/")) != (bucket, checked.folder):
            continue
        both = sorted({mine.name for mine in ours for theirs in other.mappings.selections if overlap(mine, theirs)})
        if both:
            words = {"other": other.name, "tables": listed(both), "place": f"s3://{bucket}/{checked.folder}"}
            yield Spot(checked.target.where("BucketFolder"), words)


def _versions(checked: Checked) -> Iterator[Spot]:
    if checked.bucket is not None and checked.bucket.versioned and not checked.bucket.cleaned:
        yield Spot(f"s3://{checked.bucket.name}", {"bucket": checked.bucket.name})


def _small_files(checked: Checked) -> Iterator[Spot]:
    least = {"MaxFileSize": SMALL_FILE_KB, "CdcMaxBatchInterval": SHORT_BATCH_SECONDS, "CdcMinFileSize": SMALL_FILE_KB}
    for name, bound in least.items():
        if checked.target.number(name) < bound:
            unit = "seconds" if name == "CdcMaxBatchInterval" else "KB"
            words = {"name": name, "value": checked.target.number(name), "bound": bound, "unit": unit}
            yield Spot(checked.target.where(name), words, s3(**{name: bound}))


RULES = (
    Rule(
        1,
        ERROR,
        of_changes(flag("CdcInsertsOnly", True)),
        "Updates and deletes of {tables} will never arrive: only inserts are written.",
        s3(CdcInsertsOnly=False),
    ),
    Rule(
        2,
        ERROR,
        of_changes(flag("CdcInsertsAndUpdates", True)),
        "Deletes of {tables} will never arrive: only inserts and updates are written.",
        s3(CdcInsertsAndUpdates=False),
    ),
    Rule(
        3,
        ERROR,
        of_changes(flag("IncludeOpForFullLoad", False)),
        "Files of the load have no column Op: in csv their values lie one place before those of changes, and where "
        "only some changes are written, these have no Op either.",
        s3(IncludeOpForFullLoad=True),
    ),
    Rule(
        4,
        ERROR,
        of_changes(_no_timestamp),
        "No column says when a change was committed, so that a change cannot be told from a row of the load.",
        s3(TimestampColumnName="dms_ts"),
    ),
    Rule(
        20,
        ERROR,
        _transactions_with_others,
        "PreserveTransactions does not go together with {others}: DMS refuses it, or writes csv without names of "
        "columns, which is not read. The order of commits is in $AR_H_CHANGE_SEQ without it.",
        s3(PreserveTransactions=False),
    ),
    Rule(
        21,
        ERROR,
        _transactions_nowhere,
        "PreserveTransactions without CdcPath leaves open where changes are written: set both or neither.",
        s3(PreserveTransactions=False),
    ),
    Rule(
        22,
        ERROR,
        of_csv(flag("AddColumnName", False)),
        "Csv without names of columns: once a column is added or dropped at the source, values are read into their "
        "neighbours. Write Parquet, or csv with AddColumnName.",
        s3(DataFormat="parquet"),
    ),
    Rule(
        23,
        ERROR,
        of_csv(_token),
        "{token} stands for NULL, and may be a value: one is read as the other. Take a token that no data holds.",
        s3(CsvNullValue="<~null~>", Rfc4180=True),
    ),
    Rule(
        24,
        WARNING,
        of_csv(flag("Rfc4180", False)),
        "Values that hold quotes, delimiters or line ends break their rows.",
        s3(Rfc4180=True),
    ),
    Rule(
        25,
        WARNING,
        of_changes(of_csv(_unknown_as_null)),
        "A column that the source's log leaves out is written as NULL is: the merge would clear it. Give it a token of "
        "its own, and have the source log whole rows.",
        s3(UseCsvNoSupValue=True, CsvNoSupValue="<~unknown~>"),
    ),
    Rule(
        26,
        WARNING,
        _load_time,
        "A row of the load carries the time at which it was written, which may be later than that of a change it "
        "already lacks or has. Never compare both.",
        s3(UseTaskStartTimeForFullLoadTimestamp=True),
    ),
    Rule(
        27,
        WARNING,
        _milliseconds,
        "Microseconds of timestamps are cut.",
        s3(ParquetTimestampInMillisecond=False),
    ),
    Rule(
        28,
        WARNING,
        _local_dates,
        "Folders and names of files follow {zone}: their date is not that of the commit in UTC, and an hour comes "
        "twice a year.",
        s3(DatePartitionTimezone="Etc/UTC"),
    ),
    Rule(
        29,
        ERROR,
        _same_place,
        "{other} writes {tables} to {place} as well: the tasks overwrite each other's files. Give each task a folder "
        "of its own.",
    ),
    Rule(
        30,
        ERROR,
        _versions,
        "{bucket} keeps versions and deletes none: DMS's tests and listings become slow and time out. Let a lifecycle "
        "rule delete versions that are not current, or suspend versioning.",
        {
            "Rules": [
                {
                    "ID": "versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
                    "Expiration": {"ExpiredObjectDeleteMarker": True},
                }
            ]
        },
    ),
    Rule(
        31,
        WARNING,
        _small_files,
        "{name} of {value} {unit} makes thousands of small files; take at least {bound}.",
    ),
)
