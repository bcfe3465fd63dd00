"""A club whose members and purchases hold one person in every place, and erasures of her without Dagster, in this
process or in one that is killed."""

import gzip
import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from adplatform.flow.erasure.erase import RUN_PREFIX, erase
from adplatform.flow.erasure.receipt import Receipt
from adplatform.flow.erasure.state import Wish
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.platform.aws import Aws
from adplatform.privacy.key_versions import every_key
from adplatform.privacy.person import Person, person_of, read_identifiers
from adplatform_tests.flow.rotations import Club, day, make_club
from adplatform_tests.support import plainly

JANE = "jane.doe@example.com"
GIVEN = f"email {JANE}\nphone +49 170 1234567\n"
ARRIVAL = {"complete_when": "count", "expected_files": 1}
MEMBERS: dict[str, Any] = {
    "name": "members",
    "start_date": "2026-01-01",
    "arrival": ARRIVAL,
    "columns": {
        "region": {"type": "string", "required": True},
        "email": {"pii": {"kind": "email", "treatment": ["lake", "meta", "google"]}, "required": True},
        "phone": {"pii": {"kind": "phone", "country": "DE"}},
        "seen": {"type": "int", "required": True},
        "remark": "string",
    },
    "bounds": {"max_quarantined": 0.7},
    "key": ["region", "email"],
    "latest_by": "seen",
    "partition_by": "region",
}
PURCHASES: dict[str, Any] = {
    "name": "purchases",
    "start_date": "2026-01-01",
    "arrival": ARRIVAL,
    "format": {"kind": "ndjson"},
    "bounds": {"max_quarantined": 0.7},
    "columns": {"email": {"pii": "email"}, "amount": "decimal(10,2)"},
    "skip_rows_where": "amount = 'total'",
}


def members(*rows: str) -> bytes:
    return "".join(["region,email,phone,seen,remark\n", *(f"{row}\n" for row in rows)]).encode()


def purchases(*rows: tuple[str, str]) -> bytes:
    return "".join(json.dumps({"email": e, "amount": a}) + "\n" for e, a in rows).encode()


def make_persons(aws: Aws, home: Path, table_format: str = "parquet", *, versioned: bool = True) -> Club:
    club = make_club(aws, home, [{**feed, "table_format": table_format} for feed in (MEMBERS, PURCHASES)])
    if versioned:
        for bucket in (club.services.zones.raw_bucket, club.services.zones.clean_bucket):
            enabled = {"Status": "Enabled"}
            club.services.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    return club


def fill(club: Club) -> None:
    """Jane in clear and quarantined rows, in two feeds, of two dates, before and after another hashing key, in a file
    that was sent again, in gzip, as a digest and in free text, and in what an engine was about to make of a file."""
    zones = club.services.zones
    work = zones.engine_work(f"{club.source.name}/transform-members", f"{club.source.name}/members/{day(3)}/v1/a1")
    staged = {"Bucket": zones.raw_bucket, "Key": f"{work}1/received/part-0.csv"}
    club.services.s3.put_object(**staged, Body=members(f"de,{JANE},,1,"), **zones.put_arguments)
    club.put(
        "members", day(3), members(f"de,{JANE},+49 170 1234567,1,", "de,bob@example.com,,1,ok", "fr,eve@x.org,,1,")
    )
    club.put("members", day(3), members("de, Jane.Doe@Example.com ,0170/1234567,2,", "de,bob@example.com,,2,hello",
        f"fr,eve@x.org,,?,knows {JANE}", "it,joe@x.org,,many,"))  # fmt: skip
    club.put(
        "purchases", day(3), gzip.compress(purchases((JANE, "1.00"), ("eve@x.org", "2.00"), (JANE, "much"))), "a.gz"
    )
    club.process()
    club.rotate()
    club.put("members", day(2), members(f"de,{JANE},,9,", f'it,joe@x.org,,1,"said:\n{JANE}"', "it,ann@x.org,,1,"))
    club.put("purchases", day(2), purchases((JANE, "3.00")))
    club.process()


def jane(club: Club) -> Person:
    secrets = club.services.secrets, club.services.settings.hash_key_secret
    return person_of(read_identifiers(GIVEN), every_key(*secrets), ["DE"])


def erase_jane(club: Club, *, dry_run: bool = False, follow: Callable[[], Iterable[str]] = tuple) -> Receipt:
    with club.working(RUN_PREFIX) as work:
        wish = Wish(read_identifiers(GIVEN), dry_run=dry_run)
        return erase(club.services, club.source, club.flows, wish, work, erasure_id=uuid.uuid4().hex, follow=follow)


def erase_in_child(club: Club, writes: int, later: timedelta = timedelta(0)) -> tuple[int, int]:
    """Erase some time from now in a child that is killed before its ``writes``-th write to AWS, 0 for never; exit code
    and writes."""
    return plainly.killed_at(club.services, partial(_erase, source=club.source, later=later), writes)


def _erase(services: Services, source: Source, later: timedelta) -> None:
    receipt = erase_jane(Club(services, source).later(later))
    if receipt.problems:
        raise RuntimeError(str(receipt.problems))


def places_of(club: Club, person: Person) -> list[str]:
    """Every place in which a person is: names and content of all object versions, rows of the ledger, local files."""
    services = club.services
    found = []
    for bucket in (services.zones.raw_bucket, services.zones.clean_bucket):
        for page in services.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if person.is_in(each["Key"]):
                    found.append(f"name of {each['Key']}")
            for each in page.get("Versions", ()):
                at = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
                if any(map(person.is_in, _texts_of(club, each["ETag"], at))):
                    found.append(f"{each['Key']} {each['VersionId']}")
    for page in services.ledger.client.get_paginator("scan").paginate(TableName=services.settings.ledger_table):
        found += [f"ledger {item['pk']} {item['sk']}" for item in page["Items"] if person.is_in(str(item))]
    for path in services.settings.home.rglob("*"):
        if person.is_in(path.name) or (path.is_file() and any(map(person.is_in, _texts(path.read_bytes())))):
            found.append(str(path))
    return found


def _texts_of(club: Club, etag: str, at: dict[str, str]) -> tuple[str, ...]:
    """Those of a version of an object, which never changes: each is read once."""
    known = club.texts
    if (found := known.get((*at.values(), etag))) is None:
        found = known[*at.values(), etag] = tuple(_texts(club.services.s3.get_object(**at)["Body"].read()))
    return found


def in_statistics(club: Club, person: Person) -> list[str]:
    """Metadata of Iceberg tables that has the beginning of a digest: as the least or greatest value of a column."""
    services, found = club.services, []
    bucket = services.zones.clean_bucket
    for each in services.s3.list_object_versions(Bucket=bucket).get("Versions", ()):
        if each["Key"].endswith(".avro"):
            at = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
            text = _blocks(services.s3.get_object(**at)["Body"].read())
            found += [each["Key"] for digest in person.digests if digest[:16].encode() in text]
    return found


def _blocks(avro: bytes) -> bytes:
    """What is in the blocks of an Avro file, which end with its sync marker; each begins with two varints."""
    text = avro
    for block in avro.split(avro[-16:])[1:-1]:
        for start in range(1, 16):
            with suppress(zlib.error):
                text += zlib.decompress(block[start:], -15)
    return text


def _texts(body: bytes) -> Iterator[str]:
    import io  # noqa: PLC0415

    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    if body.startswith(b"PAR1"):
        yield str(pq.read_table(io.BytesIO(body)).to_pylist())
    yield body.decode("utf-8", "replace")
