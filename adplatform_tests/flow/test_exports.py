"""Files for ad platforms: what is in them, how large they are, and what a reader finds at any moment."""

import csv
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.activation import DestinationName
from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.flow.exports import Export, export, exported, exports_due, read_manifest, unfit_exports
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.privacy.rules import unkeyed_output
from adplatform_tests.support.platforms import TODAY, YESTERDAY
from adplatform_tests.support.tables import corrupt_shown, publish_rows, table_flow

EVERY = ["lake", "amazon_ads", "google", "meta"]


def personal(kind: str, treatment: Any = EVERY, **more: Any) -> dict[str, Any]:
    return {"pii": {"kind": kind, "treatment": treatment, **more}}


MEMBERS: dict[str, Any] = {
    "name": "members",
    "columns": {
        "email": personal("email"),
        "phone": personal("phone", country="US"),
        "first": personal("first_name"),
        "last": personal("last_name"),
        "zip": personal("postal_code", country="US"),
        "land": "string",
        "points": "bigint",
    },
    "activations": {"amc": {"country_column": "land"}, "google": {"country": "US"}, "meta": None},
}
ANN = "Ann@Example.com,,Ann,Lee,02139-4307,US,1"


@pytest.fixture
def ready(services: Services) -> Services:
    provision(services, [])
    return services


def members(**changes: Any) -> FeedFlow:
    return table_flow({**MEMBERS, **changes})


def make(services: Services, flow: FeedFlow, work: Path) -> list[Export]:
    """Make what is due, as runs do."""
    found = list(exports_due(services, [flow]))
    for each in found:
        made = export(services, each, work)
        assert made is not None
        exported(services.ledger, each, made[0])
    return found


def rows_of(services: Services, wanted: Export) -> list[dict[str, str]]:
    """The rows that a reader finds, who believes the manifest and checks what it says."""
    manifest = read_manifest(services, wanted)
    assert manifest is not None
    found = []
    for file in manifest["files"]:
        body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=file["key"])["Body"].read()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (file["bytes"], file["sha256"])
        text = gzip.decompress(body) if file["key"].endswith(".gz") else body
        rows = list(csv.DictReader(io.StringIO(text.decode())))
        assert len(rows) == file["rows"]
        assert list(rows[0]) == manifest["columns"]
        found += rows
    assert len(found) == manifest["rows"]
    return found


def of(kind: PiiKind, treatment: Treatment, value: str, country: str = "US") -> str:
    return str(unkeyed_output(treatment, kind, value, country))


def test_each_destination_gets_its_columns_and_its_digests_once_and_country_in_clear_where_it_asks_for_that(
    ready: Services, tmp_path: Path
) -> None:
    flow = members()
    rows = [ANN, ANN.replace(",1", ",2"), ",,Bob,,,US,3", ",+1 650 555 1212,,,,ca,4", "zoe@example.com,,,,,France,5"]
    publish_rows(ready, flow, YESTERDAY, rows, tmp_path)
    made = {each.destination: each for each in make(ready, flow, tmp_path)}
    assert made.keys() == {"amc", "google", "meta"}
    k, amazon, google, meta = PiiKind, Treatment.AMAZON_ADS, Treatment.GOOGLE, Treatment.META
    ann = next(row for row in rows_of(ready, made["amc"]) if row["zip"])
    assert ann == {
        "email": of(k.EMAIL, amazon, "Ann@Example.com"),
        "phone": "",
        "first_name": of(k.FIRST_NAME, amazon, "Ann"),
        "last_name": of(k.LAST_NAME, amazon, "Lee"),
        "zip": of(k.POSTAL_CODE, amazon, "02139-4307"),
        "country_code": "US",
    }
    assert {row["country_code"] for row in rows_of(ready, made["amc"])} == {"US", "CA", ""}  # and no text but countries
    ann = next(row for row in rows_of(ready, made["google"]) if row["Zip"])
    assert (ann["Email"], ann["Country"], ann["Zip"]) == (of(k.EMAIL, google, "ann@example.com"), "US", "02139-4307")
    assert list(rows_of(ready, made["meta"])[0]) == ["email", "phone", "fn", "ln", "zip"]
    assert of(k.PHONE, meta, "+16505551212") in {row["phone"] for row in rows_of(ready, made["meta"])}
    for each in made.values():
        manifest = read_manifest(ready, each)
        assert manifest is not None
        counts = ("read", "rows", "withheld", "repeated", "unidentified")
        assert [manifest[name] for name in counts] == [5, 3, 0, 1, 1]
    assert made["amc"].prefix == f"exports/amc/acme/members/dt={YESTERDAY}/"
    assert make(ready, flow, tmp_path) == []


def test_no_file_has_more_rows_or_bytes_than_it_may_and_together_they_have_all(ready: Services, tmp_path: Path) -> None:
    flow = members(
        activations={
            "meta": {"largest_file": "4KB"},
            "google": {"rows_per_file": 7, "compress": "gzip", "country": "US"},
        }
    )
    publish_rows(
        ready, flow, YESTERDAY, [f"user{n}@example.com,,Zoë{n},Lee,02139,US,{n}" for n in range(100)], tmp_path
    )
    for each in make(ready, flow, tmp_path):
        manifest = read_manifest(ready, each)
        assert manifest is not None
        assert len({tuple(row.values()) for row in rows_of(ready, each)}) == 100
        most = max(file["rows"] for file in manifest["files"])
        if each.destination == "google":
            assert (most, len(manifest["files"])) == (7, 15)
            assert all(file["key"].endswith(".csv.gz") for file in manifest["files"])
        else:
            assert max(file["bytes"] for file in manifest["files"]) <= 4096
            assert most > 5


def test_rows_without_consent_are_given_to_none_and_counted(ready: Services, tmp_path: Path) -> None:
    flow = members(
        columns={**MEMBERS["columns"], "ads": "string", "optin": {"type": "boolean"}, "stage": "bigint"},
        activations={
            "consent": {"ads": ["granted", "Granted"]},
            "amazon_ads": {"country": "US"},
            "amc": {"country": "US", "consent": {"stage": [2, 3]}},
            "google": {"country": "US", "consent": {"optin": True}},
            "meta": None,
        },
    )
    said = [
        ("all", "granted,true,2"),
        ("text", "Granted,,"),
        ("number", "granted,false,3"),
        ("unknown", "maybe,true,2"),
        ("upper", "GRANTED,true,2"),
        ("none", ",true,2"),
    ]
    rows = [f"{name}@example.com,,,,,US,1,{consent}" for name, consent in [*said, *said]]
    publish_rows(ready, flow, YESTERDAY, rows, tmp_path)
    made = {each.destination: each for each in make(ready, flow, tmp_path)}
    wanted = {"amazon_ads": 3, "meta": 3, "google": 1, "amc": 2}
    for destination, persons in wanted.items():
        manifest = read_manifest(ready, made[destination])
        assert manifest is not None
        counts = [manifest[name] for name in ("read", "rows", "withheld", "repeated", "unidentified")]
        assert counts == [12, persons, 12 - 2 * persons, persons, 0]
    [only] = rows_of(ready, made["google"])
    assert only["Email"] == of(PiiKind.EMAIL, Treatment.GOOGLE, "all@example.com")
    without = members(columns=MEMBERS["columns"], activations={"consent": {"ads": "granted"}, "meta": None})
    [finding] = unfit_exports(without)["meta"]
    assert (finding.column, finding.setting) == ("ads", "consent.ads")
    with pytest.raises(PermanentFailure, match="column ads: the table has no such column"):
        make(ready, without, tmp_path)


def test_a_date_that_was_published_before_its_column_of_consent_is_withheld_whole(
    ready: Services, tmp_path: Path
) -> None:
    publish_rows(ready, members(activations=[]), YESTERDAY, [ANN], tmp_path)
    flow = members(
        columns={**MEMBERS["columns"], "ads": "string"},
        activations={"consent": {"ads": "granted"}, "meta": None},
    )
    [wanted] = make(ready, flow, tmp_path)
    manifest = read_manifest(ready, wanted)
    assert manifest is not None
    assert (manifest["read"], manifest["withheld"], manifest["files"]) == (1, 1, [])


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
def test_a_withdrawn_person_is_gone_with_the_next_version_and_a_whole_table_is_one_export(
    ready: Services, tmp_path: Path, table_format: str
) -> None:
    flow = members(partition_by=None, table_format=table_format, activations=["meta"])
    publish_rows(ready, flow, YESTERDAY, [ANN, "bob@example.com,,,,,US,1"], tmp_path)
    (wanted,) = make(ready, flow, tmp_path)
    assert (wanted.day, wanted.prefix) == (None, "exports/meta/acme/members/")
    before = read_manifest(ready, wanted)
    publish_rows(ready, flow, TODAY, [ANN], tmp_path)
    assert make(ready, flow, tmp_path) == [wanted]
    assert len(rows_of(ready, wanted)) == 1
    assert before is not None
    for file in before["files"]:  # whoever began to read the export before goes on with that
        ready.s3.head_object(Bucket=ready.zones.raw_bucket, Key=file["key"])


def test_a_table_by_a_column_is_exported_when_readers_see_another(ready: Services, tmp_path: Path) -> None:
    columns = {"land": {"type": "string", "required": True}, "no": {"required": True}, "email": personal("email")}
    flow = table_flow(
        {
            **{"name": "people", "columns": columns, "key": ["land", "no"], "partition_by": "land"},
            "activations": {"amc": {"country_column": "land"}},
        }
    )
    publish_rows(ready, flow, YESTERDAY, ["US,1,ann@example.com", "DE,2,bob@example.com"], tmp_path)
    (wanted,) = make(ready, flow, tmp_path)
    publish_rows(ready, flow, TODAY, ["US,1,zoe@example.com"], tmp_path)
    assert make(ready, flow, tmp_path) == [wanted]
    assert {(row["email"], row["country_code"]) for row in rows_of(ready, wanted)} == {
        (of(PiiKind.EMAIL, Treatment.AMAZON_ADS, name), land)
        for name, land in (("zoe@example.com", "US"), ("bob@example.com", "DE"))
    }


def test_a_run_that_dies_before_the_manifest_leaves_the_export_before(ready: Services, tmp_path: Path) -> None:
    flow = members(activations=["meta"])
    publish_rows(ready, flow, YESTERDAY, [ANN], tmp_path)
    (wanted,) = make(ready, flow, tmp_path)
    publish_rows(ready, flow, YESTERDAY, [ANN, "bob@example.com,,,,,US,1"], tmp_path)

    class DiesAtManifest:
        def __getattr__(self, name: str) -> Any:
            return getattr(ready.s3, name)

        def put_object(self, **asked: Any) -> Any:
            if asked["Key"].endswith("manifest.json"):
                raise KeyboardInterrupt
            return ready.s3.put_object(**asked)

    dying = Services(ready.settings, ready.aws)
    dying.__dict__["s3"] = DiesAtManifest()
    with pytest.raises(KeyboardInterrupt):
        export(dying, wanted, tmp_path)
    assert len(rows_of(ready, wanted)) == 1
    assert make(ready, flow, tmp_path) == [wanted]
    assert len(rows_of(ready, wanted)) == 2


def test_a_table_whose_file_is_broken_is_not_handed_over_and_one_without_rows_has_no_files(
    ready: Services, tmp_path: Path
) -> None:
    flow = members(activations=["meta"])
    publish_rows(ready, flow, YESTERDAY, [",,Bob,,,US,3"], tmp_path)
    (wanted,) = make(ready, flow, tmp_path)
    manifest = read_manifest(ready, wanted)
    assert manifest is not None
    assert (manifest["files"], manifest["rows"], manifest["unidentified"]) == ([], 0, 1)
    corrupt_shown(ready, "acme/members", YESTERDAY)
    with pytest.raises(PermanentFailure, match=r"acme/members for meta, .*: the table cannot be read"):
        export(ready, wanted, tmp_path)
    assert read_manifest(ready, wanted) == manifest


@pytest.mark.parametrize(
    ("columns", "destination", "settings", "says"),
    [
        ({"email": {"pii": "email"}}, "meta", {}, "no row could be matched: the table has no email or phone or"),
        ({"email": personal("email", "clear")}, "meta", {"columns": {"email": "email"}}, "stored in clear and is not"),
        ({"email": personal("email"), "other": personal("email")}, "meta", {}, "email, other are all email; say under"),
        ({"email": personal("email")}, "meta", {"country": "US"}, "takes no country in clear"),
        (
            {"email": personal("email")},
            "google",
            {"country_column": "email_lake"},
            "it is personal; a country in clear",
        ),
        ({"email": personal("email")}, "google", {"columns": {"city": "email"}}, "it takes no city; leave it out"),
        (
            {"email": personal("email")},
            "amc",
            {"columns": {"email": "mail"}},
            r"no such column \(did you mean email\?\)",
        ),
        ({"email": personal("email"), "ok": "string"}, "meta", {"consent": {"oK": "yes"}}, r"did you mean ok\?"),
        (
            {"email": personal("email"), "ok": "string"},
            "meta",
            {"consent": {"ok": True}},
            "ok: it is string: write texts",
        ),
        ({"email": personal("email"), "ok": "boolean"}, "meta", {"consent": {"ok": "yes"}}, "write true or false"),
        ({"email": personal("email"), "ok": "bigint"}, "meta", {"consent": {"ok": True}}, "write whole numbers"),
        (
            {"email": personal("email"), "ok": "date"},
            "meta",
            {"consent": {"ok": "yes"}},
            "it is date; consent is a text",
        ),
        ({"email": personal("email")}, "meta", {"consent": {"email_meta": "x"}}, "it is personal; consent is of a"),
        ({"email": personal("email")}, "meta", {}, "nothing says who has consented, so every row is handed over"),
    ],
)
def test_what_would_match_nobody_or_show_somebody_is_refused(
    columns: dict[str, Any], destination: DestinationName, settings: dict[str, Any], says: str
) -> None:
    flow = table_flow({"name": "members", "columns": columns, "activations": {destination: settings}})
    (finding, *_) = unfit_exports(flow)[destination]
    with pytest.raises(PermanentFailure, match=says):
        raise PermanentFailure(str(finding))
