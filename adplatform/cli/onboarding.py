"""The page a partner gets: everything it must know to deliver, taken from the declared source."""

from collections.abc import Iterator
from datetime import date

from adplatform.contracts.feed import Arrival, Pgp
from adplatform.contracts.model import Column, FileFormat
from adplatform.flow.source import FeedFlow, Source

EXAMPLE = date(2026, 3, 14)


def onboarding_page(source: Source) -> str:
    """Markdown for the partner. Holds names of keys, never keys."""
    return "\n".join(
        [
            f"# Delivering files: {source.name}",
            "",
            f"Write below `s3://{source.bucket}/{source.prefix}`, with the AWS credentials you receive separately.",
            "You may write there and nowhere else. Use TLS, and `aws:kms` as server-side encryption.",
            "",
            *(line for flow in source.feeds for line in _feed(flow)),
        ]
    )


def _feed(flow: FeedFlow) -> Iterator[str]:
    feed = flow.feed
    yield f"## {feed.name}"
    yield ""
    if feed.description:
        yield feed.description
        yield ""
    yield f"- **Where**: `{flow.layout.template}`, for example `{_example(flow)}`; dates are UTC calendar days"
    yield f"- **When**: {_when(feed.arrival)}"
    yield f"- **Complete**: {_complete(feed.arrival)}"
    yield f"- **Format**: {_format(feed.format)}"
    yield f"- **Encryption**: {_encryption(feed.pgp)}"
    yield "- **Corrections**: send a file again under its name, or one more for its date; the date is published anew"
    yield ""
    yield "| column | type | required | rules |"
    yield "|---|---|---|---|"
    for column in feed.read_columns:
        yield f"| `{column.field_name}` | {column.type} | {'yes' if column.required else 'no'} | {_rules(column)} |"
    yield ""


def _example(flow: FeedFlow) -> str:
    extension = {"csv": ".csv", "ndjson": ".json", "json": ".json", "parquet": ".parquet"}[flow.feed.format.kind]
    template = flow.layout.template.replace("*", "1")
    return template if "{file}" not in template else flow.layout.key(
        EXAMPLE, f"{flow.feed.name}{extension}{'.pgp' if flow.feed.pgp else ''}"
    )  # fmt: skip


def _when(arrival: Arrival) -> str:
    if arrival.deadline is None:
        return "any time"
    return f"at the latest {arrival.deadline} after the end of the date (UTC); we are alerted when it is late"


def _complete(arrival: Arrival) -> str:
    match arrival.complete_when:
        case "manifest":
            return (
                f"write `{arrival.manifest}` last: "
                '`{"files": [{"name": …, "bytes": …, "sha256": …, "rows": …}]}`, names relative to it'
            )
        case "done_file":
            return f"write an empty `{arrival.done_file}` last"
        case "count":
            return f"{arrival.expected_files} files per date"
        case _:
            return f"when no file has come for {arrival.quiet_period}"


def _format(file_format: FileFormat) -> str:
    if file_format.kind != "csv":
        return f"{file_format.kind}, {file_format.encoding}; compression {file_format.compression}"
    header = f"a header line (order: {file_format.header_order})" if file_format.header else "no header line"
    return (
        f"CSV, {file_format.encoding}, `{file_format.delimiter}` between fields, {header}; an unquoted empty field is "
        f"NULL; compression {file_format.compression}"
    )


def _encryption(pgp: Pgp | None) -> str:
    if pgp is None:
        return "none beside TLS and KMS"
    signing = "signing is optional" if pgp.allow_unsigned else "signed with the key you registered with us"
    return f"OpenPGP for the public key you received from us, {signing}; integrity protection must be on (the default)"


def _rules(column: Column) -> str:
    rules = [
        f"one of {', '.join(column.allowed)}" if column.allowed else "",
        f"matches `{column.pattern}`" if column.pattern else "",
    ]
    rules += [f"from {column.min}" if column.min else "", f"to {column.max}" if column.max else ""]
    rules += [f"or written as {', '.join(column.formats)}" if column.formats else "", column.comment]
    return "; ".join(rule for rule in rules if rule).replace("|", "\\|")
