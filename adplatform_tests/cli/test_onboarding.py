"""The page that a partner gets."""

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
        "`/orders/dt={date}/{file}`, for example `/orders/dt=2026-03-14/orders.csv`",
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
    assert "`/dt={date}/{file}` as `acme`, for example `/dt=2026-03-14/orders.csv`" in found
    assert "`/orders/dt={date}/{file}` as `drop`" in found
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
