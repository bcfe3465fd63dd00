"""The page a partner gets: everything it must know to deliver, taken from the declared source."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from adplatform.cli.example_file import example_text
from adplatform.contracts.column import Column
from adplatform.contracts.feed import LOAD, Arrival, Pgp
from adplatform.contracts.file_format import FileFormat, LineStart
from adplatform.contracts.sftp_server import SftpUser
from adplatform.contracts.sizes import write_size
from adplatform.engines.sftp.server import Address, seen_at
from adplatform.flow.source import FeedFlow, Source

EXAMPLE = date(2026, 3, 14)
_EXAMPLE_LOAD = "1773478800.25"
"""Of that date."""


@dataclass(frozen=True)
class SftpAccess:
    """How a partner reaches an SFTP server of ours: the address, None while nobody has made the server, and the users,
    each with the landing prefix that it sees as ``/``. ``may_set_times`` is whether clients may ask to set times."""

    address: Address | None
    users: Sequence[tuple[SftpUser, str]]
    may_set_times: bool = True


def onboarding_page(source: Source, sftp: SftpAccess | None = None) -> str:
    """Markdown for the partner, for one that uploads by SFTP or one that writes to S3. Holds names and fingerprints of
    keys, never private keys."""
    return "\n".join(
        [
            f"# Delivering files: {source.name}",
            "",
            *(_by_s3(source) if sftp is None else _by_sftp(sftp)),
            "",
            *(line for flow in source.feeds for line in _feed(flow, sftp)),
        ]
    )


def _by_s3(source: Source) -> Iterator[str]:
    yield f"Write below `s3://{source.bucket}/{source.prefix}`, with the AWS credentials you receive separately."
    yield "You may write there and nowhere else. Use TLS, and `aws:kms` as server-side encryption."


def _by_sftp(sftp: SftpAccess) -> Iterator[str]:
    address = sftp.address
    host, port = (address.host, address.port) if address else ("(you receive it when the server is there)", 22)
    yield "Upload by SFTP; other protocols and passwords are not offered."
    yield ""
    yield f"- **Host**: `{host}`, port {port}"
    if address:
        yield f"- **Host key**: `{address.fingerprint}`; compare it before you accept it; tell us when it is another"
    for user, _ in sftp.users:
        prints = ", ".join(f"`{_fingerprint(key)}`" for key in user.keys)
        may = "upload, list, read, rename and delete" if user.can == "put_get_list" else "upload, and nothing else"
        yield f"- **User**: `{user.name}` may {may}; it logs in with {prints}"
    yield "- **Keys**: send us public keys only (ed25519, ECDSA or RSA), from an address that we know. Send a new one"
    yield "  before you use it: both are valid until you tell us that the old one is no longer in use"
    yield "- **Names**: " + _naming([user for user, _ in sftp.users])
    yield "- **Whole files**: a file is there when it is closed. It cannot be appended to or resumed: when a session"
    yield "  breaks, send the whole file again under its name"
    yield "- **Afterwards**: files leave your folder once they are published; we keep them in an archive"
    refused = "a client may ask to keep them, and nothing happens"
    if not sftp.may_set_times:
        refused = "switch off in your client that it keeps them (`put -p`, WinSCP), or uploads end with an error"
    yield f"- **Times and permissions** are not kept: {refused}"


def _naming(users: Sequence[SftpUser]) -> str:
    if all(user.can == "put" for user in users):
        return "upload under the final name; switch off temporary names in your client, for you cannot rename"
    ending = ", ".join(f"`{each}`" for each in (".tmp", ".part", ".filepart"))
    return f"upload under the final name, or under one that ends with {ending} and rename it; such names are not read"


def _fingerprint(key: str) -> str:
    """As ``ssh-keygen -l`` shows a public key."""
    body = key.split()[1]
    digest = sha256(base64.b64decode(body + "=" * (-len(body) % 4))).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _feed(flow: FeedFlow, sftp: SftpAccess | None) -> Iterator[str]:
    feed = flow.feed
    yield f"## {feed.name}"
    yield ""
    if feed.description:
        yield feed.description
        yield ""
    for where in _places(flow, sftp):
        yield f"- **Where**: {where}; {_day(flow)}"
    yield f"- **When**: {_when(feed.arrival)}"
    yield f"- **Complete**: {_complete(feed.arrival)}"
    yield f"- **Format**: {_format(feed.format)}"
    yield f"- **Encryption**: {_encryption(feed.pgp, 'TLS and KMS' if sftp is None else 'SFTP')}"
    yield "- **Corrections**: send a file again under its name, or one more for its date; the date is published anew"
    yield ""
    if example := example_text(flow, EXAMPLE):
        yield "Before it is compressed or encrypted, a file looks like this:"
        yield ""
        yield "```"
        yield from example.splitlines()
        yield "```"
        yield ""
    yield "| column | type | required | rules |"
    yield "|---|---|---|---|"
    for column in feed.read_columns:
        names = " or ".join(f"`{name}`" for name in column.field_names)
        yield f"| {names} | {column.type} | {'yes' if column.required else 'no'} | {_rules(column)} |"
    yield ""


def _places(flow: FeedFlow, sftp: SftpAccess | None) -> Iterator[str]:
    if sftp is None:
        yield f"`{_as_written(flow.layout.template)}`, for example `{_example(flow)}`"
        return
    for user, folder in sftp.users:
        if template := seen_at(flow, folder):
            example = f"/{_example(flow).removeprefix(folder)}"
            whose = f" as `{user.name}`" if len(sftp.users) > 1 else ""
            yield f"`{_as_written(template)}`{whose}, for example `{example}`"


_SPELLED = {"%Y": "YYYY", "%y": "YY", "%m": "MM", "%d": "DD", "%j": "DDD"}


def _as_written(template: str) -> str:
    """A landing template as a sender would write it down: ``dt=YYYY-MM-DD/<file name>``."""

    def spelled(found: re.Match[str]) -> str:
        return re.sub("%[A-Za-z]", lambda part: _SPELLED[part[0]], found[1] or "%Y-%m-%d")

    named = re.sub(r"\{date(?::([^}]+))?\}", spelled, template).replace("{file}", "<file name>")
    return named.replace(LOAD, "<load id>").replace("*", "<any text>")


def _day(flow: FeedFlow) -> str:
    if "{date" in flow.layout.template:
        return "dates are UTC calendar days"
    if LOAD in flow.layout.template:
        return "a file belongs to the UTC day on which its load began, whose id is that time in seconds since 1970"
    return "a file belongs to the UTC day on which you send it, whatever its name says"


def _length(value: timedelta) -> str:
    """``9 hours``, ``1 day and 12 hours``."""
    left, said = int(value.total_seconds()), []
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, seconds)
        if count:
            said.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " and ".join(said) or "0 seconds"


def _example(flow: FeedFlow) -> str:
    kind = flow.feed.format.kind
    file = f"{flow.feed.name}.{'json' if kind == 'ndjson' else kind}{'.pgp' if flow.feed.pgp else ''}"
    return flow.layout.dated(EXAMPLE).replace("{file}", file).replace(LOAD, _EXAMPLE_LOAD).replace("*", "1")


def _when(arrival: Arrival) -> str:
    if arrival.deadline is None:
        return "any time"
    return f"at the latest {_length(arrival.deadline)} after the end of the date (UTC); we are alerted when it is late"


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
        case "load_marker":
            return f"write `{_as_written(arrival.load_marker)}` last, when all files of a load are there"
        case _:
            return f"when no file has come for {_length(arrival.quiet_period)}"


def _format(file_format: FileFormat) -> str:
    if file_format.kind == "xlsx":
        return f"Excel workbook (xlsx, without a password), {_sheet(file_format)}{_packed(file_format)}"
    if file_format.kind in ("parquet", "avro"):
        return f"{file_format.kind.capitalize()}{_packed(file_format)}"
    if file_format.kind != "csv":
        return f"{file_format.kind}, {file_format.encoding}{_packed(file_format)}"
    named = f"order: {file_format.header_order}"
    if file_format.header_match == "loose":
        named += "; upper and lower case, blanks and underscores in names do not matter"
    header = f"a header line ({named})" if file_format.has_header else "no header line"
    return (
        f"CSV, {file_format.encoding}, `{file_format.delimiter}` between fields, {header}; an unquoted empty field is "
        f"NULL; {_rows(file_format)}{_packed(file_format)}{_left_out(file_format)}"
    )


def _rows(file_format: FileFormat) -> str:
    short = "may end early: fields that are missing are NULL" if file_format.ragged_rows == "pad" else "are complete"
    return f"rows {short}; a record has at most {write_size(file_format.max_record)}"


def _sheet(file_format: FileFormat) -> str:
    sheet = file_format.sheet
    which = f"sheet {sheet}" if isinstance(sheet, int) else f"sheet `{sheet}`" if sheet else "the only sheet with data"
    cells = f", cells from `{file_format.range}`" if file_format.range else ""
    header = "the column names in its first row" if file_format.has_header else "no row with column names"
    return f"{which}{cells}, {header}{_left_out(file_format)}"


def _packed(file_format: FileFormat) -> str:
    read = _quoted(file_format.members)
    return f"; compression {file_format.compression}" + (f"; of a zip or tar only {read} is read" if read else "")


def _left_out(file_format: FileFormat) -> str:
    """The lines that may stand beside the table."""
    may: list[str] = []
    if isinstance(file_format.header, LineStart):
        may.append(f"before the header, which begins with {_one_of(file_format.header)}")
    if file_format.comment:
        starts = " or ".join(f"`{text}`" for text in file_format.comment)
        may.append(f"that begin with {starts}, anywhere outside of quotes")
    if isinstance(file_format.skip_footer, LineStart):
        may.append(f"from one that begins with {_one_of(file_format.skip_footer)} to the end")
    if file_format.repeated_header == "leave_out":
        may.append("with the header once more")
    said = f"; not read are lines {', '.join(may)}" if may else ""
    if isinstance(file_format.skip_footer, int) and file_format.skip_footer:
        said += f"; the last {file_format.skip_footer} lines are always taken for a footer"
    return said


def _one_of(start: LineStart) -> str:
    return " or ".join(f"`{text}`" for text in start.starts_with)


def _encryption(pgp: Pgp | None, transport: str) -> str:
    if pgp is None:
        return f"none beside {transport}"
    signing = "signing is optional" if pgp.allow_unsigned else "signed with the key you registered with us"
    return f"OpenPGP for the public key you received from us, {signing}; integrity protection must be on (the default)"


def _rules(column: Column) -> str:
    rules = [
        f"one of {', '.join(column.allowed)}" if column.allowed else "",
        f"matches `{column.pattern}`" if column.pattern else "",
    ]
    rules += [f"from {column.min}" if column.min else "", f"to {column.max}" if column.max else ""]
    rules += [*_spelling(column), column.comment]
    return "; ".join(rule for rule in rules if rule).replace("|", "\\|")


def _spelling(column: Column) -> Iterator[str]:
    """How values may be written beside the plain form."""
    if column.decimal_comma:
        yield "decimal comma"
    if column.thousands:
        yield f"groups of three digits may be parted by `{column.thousands}`"
    if column.percent:
        yield "`%` behind each number" if column.percent == "fraction" else "`%` may stand behind"
    if column.currency:
        yield f"{_quoted(column.currency)} may stand before or behind"
    if "parentheses" in column.negative:
        yield "`(5)` is -5"
    if "trailing_minus" in column.negative:
        yield "`5-` is -5"
    if column.formats:
        names = f", months by their names ({column.months})" if any("%b" in f.lower() for f in column.formats) else ""
        yield f"or written as {_quoted(column.formats)}{names}"
    if column.timezone:
        yield f"times without an offset are those of {column.timezone}"
    if absent := (*column.null_values, *(text for text, value in column.special.items() if value is None)):
        yield f"{_quoted(absent)} for no value"


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
