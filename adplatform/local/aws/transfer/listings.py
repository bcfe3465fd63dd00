"""Listings of folders, one level deep, as an object in S3."""

import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.transfer import places, reports
from adplatform.local.aws.transfer.sessions import session
from adplatform.local.aws.transfer.sftp import Failed, told
from adplatform.local.aws.transfer.state import ConnectorBackend, Operation

if TYPE_CHECKING:
    import paramiko

MOST_ITEMS, ITEMS = 200_000, 1000
"""The largest list that AWS makes, and the one that nobody asked to be of another size."""


def output_name(listing: Operation) -> str:
    return f"{listing.connector}-{listing.id}.json"


def carry_out(backend: ConnectorBackend, listing: Operation) -> None:
    """Callers do not hold the lock."""
    if "listing_lost" in listing.faults:
        return
    began, asked = CONTROL.now(), listing.asked
    target = places.within(asked["OutputDirectoryPath"], output_name(listing))
    about = {
        "listing-id": listing.id,
        "max-items": asked.get("MaxItems", ITEMS),
        "remote-directory-path": asked["RemoteDirectoryPath"],
        "output-directory-path": asked["OutputDirectoryPath"],
    }
    try:
        with session(backend, listing.connector) as client:
            found, truncated = _entries(client, listing)
        places.write(target, iter([_encoded(listing, found, truncated)]))
    except Failed as e:
        reports.tell(backend, listing, began, e, about)
        return
    ends = {"item-count": len(found), "truncated": truncated, "output-file-location": target.location}
    reports.tell(backend, listing, began, None, {**about, **ends})


def _entries(client: "paramiko.SFTPClient", listing: Operation) -> tuple[list[Any], bool]:
    """The first entries of the folder, and whether there are more."""
    most = listing.asked.get("MaxItems", ITEMS)
    if fault := listing.faults.get("listing_truncated"):
        most = min(most, fault.count)
    folder = listing.asked["RemoteDirectoryPath"]
    with told("LIST", folder):
        found = list(islice(client.listdir_iter(folder), most + 1))
    return found[:most], len(found) > most


def _encoded(listing: Operation, entries: list[Any], truncated: bool) -> bytes:
    folder = listing.asked["RemoteDirectoryPath"].rstrip("/")
    bare = "no_times" in listing.faults
    folders = [stat.S_ISDIR(entry.st_mode or 0) for entry in entries]
    said = {
        "files": [
            {"filePath": f"{folder}/{entry.filename}", **({} if bare else _attributes(entry))}
            for entry, is_folder in zip(entries, folders, strict=True)
            if not is_folder
        ],
        "paths": [
            {"path": f"{folder}/{entry.filename}"}
            for entry, is_folder in zip(entries, folders, strict=True)
            if is_folder
        ],
        "truncated": truncated if "truncated_bool" in listing.faults else str(truncated).lower(),
    }
    return json.dumps(said).encode()


def _attributes(entry: Any) -> Mapping[str, Any]:
    """Those that the server says."""
    said: dict[str, Any] = {}
    if entry.st_mtime is not None:
        moment = datetime.fromtimestamp(entry.st_mtime, UTC)
        said["modifiedTimestamp"] = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    if entry.st_size is not None:
        said["size"] = entry.st_size
    return said
