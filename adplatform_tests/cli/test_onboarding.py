"""The page that a partner gets."""

import json
from pathlib import Path
from typing import Any

from adplatform.cli.onboarding import SftpAccess, onboarding_page
from adplatform.cli.project import disagreements, sftp_access
from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.source import FileSource
from adplatform.engines.sftp.provided_servers import folder_of
from adplatform.engines.sftp.server import Address, server_files
from adplatform.flow.pushed import pushed_files
from adplatform.platform.settings import Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBNbIXTcKGDwsFIGCGc7ZbBgzqDuBgbTj0RmGtKYvW2p"
# As ssh-keygen -l says it.
FINGERPRINT = "SHA256:VZtmLP/owNUCzmpc4Z7a9nROSCysOWM+kFAKBdyzjRc"
FEED = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "bigint"}}
SETTINGS = Settings("local", home=Path())


def uploads(source: str = "acme", **server: Any) -> SftpSource:
    wanted = {"kind": "server", "users": [{"name": "acme", "keys": [KEY]}], **server}
    return SftpSource.model_validate({"source": source, "from": wanted, "feeds": [FEED]})


def page(address: Address | None = None, **server: Any) -> str:
    pattern = server_files(uploads(**server), SETTINGS)
    users = [(user, folder_of(pattern.source.prefix, user)) for user in pattern.server.users]
    return onboarding_page(pattern.source, SftpAccess(address, users, pattern.server.set_stat))


def test_who_pushes_to_s3_is_told_the_bucket() -> None:
    declared = FileSource.model_validate({"source": "acme", "feeds": [FEED]})
    pattern = pushed_files(declared, SETTINGS)
    found = onboarding_page(pattern.source, sftp_access(pattern))
    assert "s3://adplatform-raw/landing/acme/" in found
    assert "landing/acme/orders/dt=2026-03-14/orders.csv" in found
    assert "SFTP" not in found


def test_who_uploads_is_told_host_user_keys_and_paths() -> None:
    found = page(Address("s-1.server.transfer.eu-west-1.amazonaws.com", 22, "SHA256:host"))
    for said in (
        "`s-1.server.transfer.eu-west-1.amazonaws.com`, port 22",
        "`SHA256:host`",
        f"`acme` may upload, list, read, rename and delete; it logs in with `{FINGERPRINT}`",
        "`/orders/dt=YYYY-MM-DD/<file name>`, for example `/orders/dt=2026-03-14/orders.csv`",
        "rename it; such names are not read",
        "none beside SFTP",
        "a client may ask to keep them",
    ):
        assert said in found
    assert "s3://" not in found
    assert "AAAAC3" not in found


def test_each_user_is_told_its_own_paths() -> None:
    users = [
        {"name": "acme", "keys": [KEY], "folder": "orders"},
        {"name": "drop", "keys": [KEY], "can": "put"},
        {"name": "other", "keys": [KEY], "folder": "invoices"},
    ]
    found = page(users=users)
    assert "`/dt=YYYY-MM-DD/<file name>` as `acme`, for example `/dt=2026-03-14/orders.csv`" in found
    assert "`/orders/dt=YYYY-MM-DD/<file name>` as `drop`" in found
    assert "as `other`" not in found
    assert "`drop` may upload, and nothing else" in found
    assert "you receive it when the server is there" in found


def test_who_can_only_put_is_told_not_to_rename_nor_to_set_times() -> None:
    found = page(users=[{"name": "drop", "keys": [KEY], "can": "put"}], set_stat=False)
    assert "you cannot rename" in found
    assert "uploads end with an error" in found


def test_sources_that_share_a_server_are_validated_together() -> None:
    other = uploads("globex", users=[{"name": "globex", "keys": [KEY]}], set_stat=False)
    assert disagreements([uploads(), FileSource.model_validate({"source": "x", "feeds": [FEED]})]) == []
    [said] = disagreements([uploads(), other])
    assert "`set_stat` of it differs" in said


def pushed(**feed: Any) -> str:
    declared = FileSource.model_validate({"source": "acme", "feeds": [{**FEED, **feed}]})
    return onboarding_page(pushed_files(declared, SETTINGS).source)


def test_paths_and_times_are_written_as_people_write_them() -> None:
    found = pushed(landing="in/*/{date:%d%m%y}_{file}", arrival={"deadline": "36h", "quiet_period": "90s"})
    assert "`landing/acme/in/<any text>/DDMMYY_<file name>`, for example `landing/acme/in/1/140326_orders.csv`" in found
    assert "1 day and 12 hours after the end of the date" in found
    assert "no file has come for 1 minute and 30 seconds" in found
    assert "{" not in found


def test_who_writes_loads_is_told_where_they_and_their_markers_go() -> None:
    found = pushed(landing="crm/{feed}/{load}.{file}", format={"preset": "dlt"})
    assert (
        "`landing/acme/crm/orders/<load id>.<file name>`, for example `landing/acme/crm/orders/1773478800.25." in found
    )
    assert "its load began" in found
    assert "write `<any text>/_dlt_loads/<any text>__<load id>.jsonl` last" in found


def test_a_partner_learns_that_the_day_of_sending_counts_where_no_name_has_a_date() -> None:
    assert "belongs to the UTC day on which you send it" in pushed(landing="inbound/{file}")
    assert "belongs to the UTC day" not in pushed()


EVERYTHING = {
    "id": {"type": "bigint", "required": True},
    "Cost": {"type": "decimal(4,4)"},
    "price": {"type": "decimal(9,2)", "decimal_comma": True, "min": "10,5"},
    "share": "double",
    "kind": {"allowed": ["a;b", "c"]},
    "email": {"pii": "email"},
    "mobile": {"pii": "phone"},
    "day": {"type": "date", "formats": ["%d.%m.%Y"]},
    "at": "timestamp",
    "sold": {"type": "boolean", "true_values": ["ja"], "false_values": ["nein"]},
    "country": {"pattern": "[A-Z]{2}"},
}


def columns(**more: Any) -> dict[str, Any]:
    return {name.lower(): {"field": name, **spec} if name != name.lower() else spec for name, spec in more.items()}


def test_the_page_has_a_file_that_the_feed_takes() -> None:
    found = pushed(columns=columns(**EVERYTHING), format={"delimiter": ";"})
    example = found.split("```")[1].strip().splitlines()
    assert example[0] == "id;Cost;price;share;kind;email;mobile;day;at;sold;country"
    first = '1;0.0001;10,5;0.5;"a;b";jane@example.com;+442079460958;2026-03-14;2026-03-14T09:30:00Z;ja;'
    assert example[1:] == [first]


def test_a_row_that_would_not_be_taken_is_not_shown() -> None:
    taken = {"id": {"type": "bigint", "required": True}}
    refused = {"id": {"required": True, "pattern": "[A-Z]{3}-[0-9]+"}}
    assert pushed(columns=taken).split("```")[1].split() == ["id", "1"]
    assert pushed(columns=refused).split("```")[1].split() == ["id"]
    assert "```" not in pushed(columns=refused, format={"header": False})


def test_the_page_says_what_may_stand_beside_the_table_and_shows_what_must() -> None:
    lines = {
        "header": {"starts_with": ["Day", "Date"]},
        "comment": "#",
        "skip_footer": {"starts_with": "***"},
        "repeated_header": "leave_out",
    }
    declared = {"id": {"type": "bigint"}, "day": {"field": "Date", "type": "date"}}
    found = pushed(columns=declared, format=lines)
    for said in (
        "not read are lines before the header, which begins with `Day` or `Date`",
        "that begin with `#`, anywhere outside of quotes",
        "from one that begins with `***` to the end",
        "with the header once more",
    ):
        assert said in found
    assert found.split("```")[1].split() == ["Date,id", "2026-03-14,1"]
    footed = pushed(columns=declared, format={"skip_lines": 1, "skip_footer": 2})
    assert "the last 2 lines are always taken for a footer" in footed
    assert footed.split("```")[1].splitlines()[1:] == ["title 1", "id,Date", "1,2026-03-14", "footer 1", "footer 2"]
    assert "not read are lines" not in pushed()


def test_members_within_others_are_shown_as_such() -> None:
    nested = {"id": {"type": "int", "field": "campaign.id"}, "cost": {"type": "int", "field": "campaign.cost"}}
    found = pushed(columns=nested, format={"kind": "json", "records": "data.rows"})
    assert json.loads(found.split("```")[1]) == {"data": {"rows": [{"campaign": {"id": "1", "cost": "1"}}]}}
    assert "```" not in pushed(columns=nested, format={"kind": "parquet"})


def test_the_page_says_which_sheet_and_which_members_are_read() -> None:
    book = pushed(format={"kind": "xlsx", "sheet": "Orders", "range": "B4:H", "skip_footer": 1})
    assert "Excel workbook (xlsx, without a password), sheet `Orders`, cells from `B4:H`, the column names in" in book
    assert "the last 1 lines are always taken for a footer" in book
    assert f"{FEED['name']}.xlsx`" in book
    assert "the only sheet with data" in pushed(format={"kind": "xlsx"})
    packed = pushed(format={"kind": "avro", "members": ["*.avro", "out/*"]})
    assert "- **Format**: Avro; compression auto; of a zip or tar only `*.avro`, `out/*` is read" in packed


def test_the_page_says_what_columns_may_be_called_and_how_rows_may_end() -> None:
    columns = {"id": "bigint", "cost": {"type": "double", "field": ["Cost", "Amount spent"]}}
    form = {"delimiter": "||", "header_match": "loose", "ragged_rows": "pad", "max_record": "4MB"}
    declared = FileSource.model_validate({"source": "acme", "feeds": [{**FEED, "columns": columns, "format": form}]})
    pattern = pushed_files(declared, SETTINGS)
    found = onboarding_page(pattern.source, sftp_access(pattern))
    for said in (
        "| `Cost` or `Amount spent` | double |",
        "`||` between fields, a header line (order: any; upper and lower case, blanks and underscores in names do not",
        "rows may end early: fields that are missing are NULL; a record has at most 4MB",
        "id||Cost",
    ):
        assert said in found


def test_a_partner_learns_how_values_may_be_written() -> None:
    cost = {"type": "decimal(9,2)", "thousands": ",", "currency": ["$", "USD"], "negative": "parentheses"}
    day = {"type": "date", "formats": ["%d. %B %Y"], "months": "de", "special": {"--": None}}
    found = pushed(columns={"cost": cost, "share": {"type": "double", "percent": "fraction"}, "day": day})
    for said in (
        "| no | groups of three digits may be parted by `,`; `$`, `USD` may stand before or behind; `(5)` is -5 |",
        "| no | `%` behind each number |",
        "| no | or written as `%d. %B %Y`, months by their names (de); `--` for no value |",
    ):
        assert said in found
