"""Personal data in every corner of what a sender delivers, and a look at every place where some of it could be read.

Values begin with one word and names of files with another, so that whatever is derived from them is found as well.
"""

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import dagster as dg
import pyarrow.parquet as pq
import pytest
from mcp import Client

from adplatform.components import DatabaseTables
from adplatform.flow.pushed import pushed_files
from adplatform.flow.services import Services
from adplatform.lake.quarantine import entries, read_rows
from adplatform.ledger.delivery import DeliveryState
from adplatform.mcp.known import Known
from adplatform.mcp.server import server_of
from adplatform.platform.aws import Aws
from adplatform_tests.support.databases import Database
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform, make_services, resources_with
from adplatform_tests.support.receivers import Receiver, heard, hearing_lineage, hearing_traces

VALUE, NAME = "zqvalue", "zqname"
CLEAR = ("landing/", "archive/", "prepared/", "quarantine/")
"""Where values in clear may be."""
NAMED = (*CLEAR, "manifests/", "claims/", "publications/")
"""Where names of files may be, beside the ledger."""
LEDGERS_OWN = {"key", "origin", "first", "archived_key", "prepared_key", "packed"}
"""The attributes of the ledger that have names of files."""

ONE = {"complete_when": "count", "expected_files": 1}
LIST = {"complete_when": "manifest"}
COLUMNS = {"id": {"type": "int", "required": True}, "email": {"pii": "email"}, "amount": "decimal(9,2)"}


def feed(name: str, arrival: dict[str, Any] = ONE, **more: Any) -> dict[str, Any]:
    common = {"name": name, "start_date": "2026-01-01", "arrival": arrival, "bounds": {"max_quarantined": 0.95}}
    return {**common, "columns": COLUMNS, **more}


DERIVED = {
    **COLUMNS,
    "secret": {"drop": True},
    "mail": {"expression": "lower(trim(email))"},
    "tail": {"expression": "concat(secret, '!')", "pii": "generic_id"},
}
FEEDS = [
    feed("orders", columns=DERIVED, key="id"),
    feed("frozen"),
    feed("cased"),
    feed("evolving", schema_policy="evolve"),
    feed("grown", schema_policy="evolve"),
    feed("aside", schema_policy="quarantine"),
    feed("zipped", format={"kind": "csv", "compression": "zip"}, bad_file="quarantine"),
    feed("lines", format={"kind": "ndjson"}, columns={**COLUMNS, "deep": {"field": "who.mail", "pii": "email"}}),
    feed("document", format={"kind": "json"}),
    feed("table", format={"kind": "parquet"}),
    feed("waiting", LIST),
    feed("twisted", LIST),
    feed("counted", LIST),
    feed("broken_list", LIST),
    feed("cipher", pgp={"private_keys": ["{unique}/ours"], "signer_keys": ["{unique}/theirs"]}),
    feed("no_key", pgp={"private_keys": ["{unique}/bad"], "signer_keys": ["{unique}/theirs"]}),
]


def zipped(**members: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"{NAME}-{name}.csv", text)
    return body.getvalue()


def listing(*names: str, **more: Any) -> bytes:
    return json.dumps({"files": [{"name": name, **more} for name in names]}).encode()


ROW = f"1,{VALUE}.a@person.example,1.50\n"
GOOD = f"id,email,amount\n{ROW}"
NESTED = {"id": 1, "email": f"{VALUE}@person.example", "who": {"mail": f"{VALUE}@deep.example"}, "amount": "1"}
DELIVERED: dict[str, dict[str, bytes | str]] = {
    "orders": {
        f"{NAME}-ann@person.example.csv": "id,email,amount,secret\n"
        f"1,{VALUE}.a@person.example,1.50,{VALUE}-s\n"
        f"2,{VALUE}.b@person.example,{VALUE} in a number,{VALUE}-s\n"
        f"{VALUE} as a key,{VALUE},1,{VALUE}\n"
        f'3,"{VALUE} {VALUE},1,2\n'
        f"4,{VALUE}@person.example,1,{VALUE},{VALUE}-more\n"
    },
    "frozen": {f"{NAME}.csv": f"id,email,amount,{VALUE}@head.example\n{ROW.strip()},{VALUE}\n"},
    "cased": {f"{NAME}.csv": f"{VALUE} Ann,{VALUE},Email\n{ROW}"},
    "evolving": {f"{NAME}.csv": f"id,email,amount,{VALUE}@head.example\n{ROW.strip()},{VALUE}\n"},
    "grown": {
        f"{NAME}.csv": f"id,email,amount,contact,note,n\n{ROW.strip()},{VALUE}@b.example,tell {VALUE}@c.example,7\n"
        f"{VALUE},,1,{VALUE}@b.example,,\n"
    },
    "aside": {f"{NAME}.csv": f"id,email,amount,{VALUE} {VALUE}\n{ROW.strip()},{VALUE}\n"},
    "zipped": {f"{NAME}.zip": zipped(a=GOOD, b=f"id,email\n1,{VALUE}\n")},
    "lines": {
        f"{NAME}.ndjson": "\n".join(
            [json.dumps(NESTED), f'{{"id": {VALUE}}}', f"{VALUE}", json.dumps({**NESTED, "amount": [VALUE]}), ""]
        )
    },
    "document": {f"{NAME}.json": f'[{json.dumps(NESTED)}, {{"id": 1, "{VALUE}": {VALUE}}}]'},
    "table": {f"{NAME}.parquet": f"PAR1{VALUE}" * 20 + "PAR1"},
    "waiting": {"manifest.json": listing(f"{NAME}-missing.csv"), f"{NAME}.csv": GOOD},
    "twisted": {"manifest.json": listing(f"../{NAME}.csv"), f"{NAME}.csv": GOOD},
    "counted": {"manifest.json": listing(f"{NAME}.csv", rows=7), f"{NAME}.csv": GOOD},
    "broken_list": {"manifest.json": f'{{"files": [{{"name": {VALUE}', f"{NAME}.csv": GOOD},
    "cipher": {f"{NAME}.csv.pgp": GOOD},
    "no_key": {f"{NAME}.csv.pgp": GOOD},
}
PUBLISHED = {"orders", "zipped", "lines", "grown"}


@pytest.fixture(scope="module")
def watchers() -> Iterator[tuple[Receiver, Receiver]]:
    """Who hears of lineage, and who of traces."""
    with hearing_lineage() as events, hearing_traces() as collector:
        yield events, collector


@pytest.fixture(scope="module")
def delivered(
    module_services: Services, one_instance: dg.DagsterInstance, watchers: tuple[Receiver, Receiver]
) -> Iterator[tuple[Platform, str]]:
    """Everything was delivered and processed, and told to the ``watchers``; with the platform all that was said to a
    log or of a tick."""
    services = replace(module_services, settings=replace(module_services.settings, lineage=True, traces=True))
    unique = services.settings.raw_bucket
    for name in ("ours", "theirs", "bad"):
        services.secrets.create_secret(Name=f"{unique}/{name}", SecretString=f"{VALUE} is no key")
    declared = json.loads(json.dumps({"source": "acme", "feeds": FEEDS}).replace("{unique}", unique))
    platform = make_platform(services, declared, one_instance)
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    assert platform.messages.read() == []
    try:
        for name, files in DELIVERED.items():
            for file, body in sorted(files.items()):
                platform.put(f"{name}/dt={YESTERDAY}/{file}", body.encode() if isinstance(body, str) else body)
        platform.put(f"{NAME}-loose.txt", VALUE.encode())
        ticks = list(looks(platform))
    finally:
        logging.getLogger().removeHandler(handler)
    yield platform, said.getvalue() + "\n".join(ticks)


def looks(platform: Platform) -> Iterator[str]:
    """What every tick of the sensor says until nothing is due, and the runs that it asks for done."""
    sensor = platform.definitions.resolve_sensor_def("acme_arrivals")
    cursor = None
    while True:
        context = dg.build_sensor_context(
            instance=platform.instance,
            definitions=platform.definitions,
            resources=resources_with(platform.services),
            cursor=cursor,
        )
        ticked = sensor.evaluate_tick(context)
        cursor = ticked.cursor
        yield str(ticked)
        if not ticked.run_requests:
            return
        for request in ticked.run_requests:
            platform.run(request)


def places(text: str, word: str) -> list[str]:
    """What is around each place of a word, so that a failure says where it came from."""
    lower, found, at = text.lower(), [], -1
    while (at := lower.find(word, at + 1)) >= 0:
        found.append(text[max(0, at - 150) : at + 60])
    return found


def test_the_deliveries_come_to_what_they_are_meant_to(delivered: tuple[Platform, str]) -> None:
    platform, _ = delivered
    published = {name for name in DELIVERED if platform.delivery(name).state is DeliveryState.PUBLISHED}
    assert published >= PUBLISHED
    assert len(platform.query("select * from {orders}")) == 1
    assert platform.query("select id, n from {grown}") == [(1, "7")]
    assert not published & {
        "frozen",
        "cased",
        "evolving",
        "document",
        "table",
        "waiting",
        "twisted",
        "cipher",
        "no_key",
    }


def test_no_log_and_no_tick_has_values_or_names_in_clear(delivered: tuple[Platform, str]) -> None:
    said = delivered[1]
    assert "file:" in said
    assert places(said, VALUE) == places(said, NAME) == []


def test_no_event_of_lineage_and_no_trace_has_values_or_names_in_clear(
    delivered: tuple[Platform, str], watchers: tuple[Receiver, Receiver]
) -> None:
    for extra in ("openlineage.client", "opentelemetry.exporter.otlp.proto.http"):
        pytest.importorskip(extra)
    events, traces = map(heard, watchers)
    assert {(each["eventType"], each["job"]["name"]) for each in events} >= {
        *(("COMPLETE", f"acme/{name}") for name in PUBLISHED),
        *(("FAIL", f"acme/{name}") for name in ("frozen", "document", "table", "cipher")),
    }
    assert {span.name for batch in traces for span in batch} >= {"delivery", "verify", "transform"}
    said = json.dumps(events) + str(traces)
    assert places(said, VALUE) == places(said, NAME) == []


def test_no_message_has_values_or_names_in_clear(delivered: tuple[Platform, str]) -> None:
    assert messages_in_clear(delivered[0]) >= {"delivery_published", "objects_refused", "schema_changed"}


def messages_in_clear(platform: Platform) -> set[str]:
    """The events of all messages, of which none has anything in clear."""
    messages = platform.messages.read()
    said = json.dumps(messages)
    assert places(said, VALUE) == places(said, NAME) == []
    return {message["event"] for message in messages}


def test_no_event_run_or_asset_of_dagster_has_values_or_names_in_clear(delivered: tuple[Platform, str]) -> None:
    instance = delivered[0].instance
    records = [record for run in instance.get_runs() for record in instance.all_logs(run.run_id)]
    assert len(records) > 100
    said = "\n".join(dg.serialize_value(record) for record in records) + str(list(instance.get_runs()))
    assert places(said, VALUE) == places(said, NAME) == []


def test_the_catalog_and_the_clean_zone_have_neither(delivered: tuple[Platform, str]) -> None:
    services, found = delivered[0].services, []
    database = f"{services.settings.database_prefix}{delivered[0].source.name}"
    for table in services.glue.get_tables(DatabaseName=database)["TableList"]:
        found += [json.dumps(table, default=str)]
        partitions = services.glue.get_partitions(DatabaseName=database, TableName=table["Name"])["Partitions"]
        found += [json.dumps(partitions, default=str)]
    for key, body in objects(services, services.zones.clean_bucket):
        found += [key, read(key, body)]
    said = "\n".join(found)
    assert "file:" in said
    assert places(said, VALUE) == places(said, NAME) == []


def test_the_raw_zone_has_them_only_where_that_is_meant(delivered: tuple[Platform, str]) -> None:
    services = delivered[0].services
    for key, body in objects(services, services.zones.raw_bucket):
        text = f"{key}\n{read(key, body)}"
        assert not places(text, VALUE) or key.startswith(CLEAR), key
        assert not places(text, NAME) or key.startswith(NAMED), key
        assert not (key.startswith("quarantine/") and places(text, NAME)), key


def test_the_ledger_has_names_and_no_values(delivered: tuple[Platform, str]) -> None:
    items = ledger_items(delivered[0])
    assert any(places(json.dumps(item["key"]), NAME) for item in items if "key" in item)
    no_value_in_the_ledger(delivered[0])


def ledger_items(platform: Platform) -> list[dict[str, Any]]:
    ledger, name = platform.services.ledger, platform.services.settings.ledger_table
    pages = ledger.client.get_paginator("scan").paginate(TableName=name)
    return [item for page in pages for item in page["Items"]]


def no_value_in_the_ledger(platform: Platform) -> None:
    items = ledger_items(platform)
    assert places(json.dumps(items, default=str), VALUE) == []
    others = [{name: value for name, value in item.items() if name not in LEDGERS_OWN} for item in items]
    assert places(json.dumps(others, default=str), NAME) == []


def test_no_file_of_the_machine_has_any(delivered: tuple[Platform, str]) -> None:
    for path in delivered[0].services.settings.home.rglob("*"):
        assert NAME not in path.name
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            assert places(text, VALUE) == places(text, NAME) == [], path


def test_a_look_at_the_quarantine_shows_none_unless_it_is_asked_for(delivered: tuple[Platform, str]) -> None:
    platform, shown = delivered[0], []
    for name in PUBLISHED:
        contract = platform.flow(name).feed.contract
        for entry in entries(platform.services.ledger, f"acme/{name}", YESTERDAY):
            shown += list(read_rows(platform.services.store, entry.key, contract)) if entry.key else []
            shown += [file.reason for file in entry.files]
    assert len(shown) > 5
    assert places(str(shown), VALUE) == places(str(shown), NAME) == []


def test_no_answer_to_an_assistant_has_values_names_or_digests(delivered: tuple[Platform, str]) -> None:
    platform = delivered[0]
    settings = platform.services.settings
    known = Known(platform.services, [pushed_files(platform.declared, settings)])

    async def every() -> str:
        async with Client(server_of(lambda: known, 60)) as client:
            asked: list[tuple[str, dict[str, Any]]] = [("tables", {}), ("tables", {"source": "acme"})]
            asked.append(("freshness", {}))
            for name in (each["name"] for each in FEEDS):
                of_feed = {"feed": f"acme/{name}"}
                asked += [("contract", of_feed), ("quarantine", of_feed)]
                asked.append(("why_missing", {**of_feed, "date": str(YESTERDAY)}))
            for name in PUBLISHED:
                asked.append(("query", {"sql": f"from {platform.table(name)}"}))
                asked.append(("query", {"sql": f"select cast(_source_file as int), id from {platform.table(name)}"}))
            answers = [await client.call_tool(tool, given) for tool, given in asked]
            return {
                f"{tool} {given}": str(answer.content) for (tool, given), answer in zip(asked, answers, strict=True)
            }

    answers = anyio.run(every)
    said = "\n".join(text for question, text in answers.items() if VALUE not in question)
    assert "are in quarantine" in said
    assert "listed files are missing" in said
    assert "adplatform retry" in said
    assert places(said, VALUE) == places(said, NAME) == []
    digests = {digest for [digest] in platform.query("select email_lake from {orders}") if digest}
    assert digests
    assert not [digest for digest in digests if digest in said]


def read(key: str, body: bytes) -> str:
    """What is in an object; Parquet is compressed."""
    if not key.endswith(".parquet") or VALUE.encode() in body:
        return body.decode(errors="replace")
    table = pq.read_table(io.BytesIO(body))
    return f"{table.column_names} {table.schema.metadata} {table.to_pylist()}"


def test_rows_of_a_database_and_its_wrong_secret_are_nowhere_in_clear(
    services: Services, shop: Database, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    shop.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY, email text, amount text)",
        f"INSERT INTO people VALUES (1, '{VALUE}@person.example', '1.50'), (2, '{VALUE}', '{VALUE} in a number'),"
        f" (3, E'{VALUE}\\x01', '2.00')",
    )
    table = {"name": "people", "table": "public.people", "start_date": "2026-01-01", "every": "1h", "key": "id"}
    read_as = {**table, "columns": COLUMNS, "bounds": {"max_quarantined": 0.9}}
    declared = {"source": "shop", "connection": shop.secret, "tls": "off", "feeds": [read_as]}
    platform = make_platform(services, declared, instance, DatabaseTables)
    assert platform.messages.read() == []
    with caplog.at_level(logging.INFO):
        assert all(result.success for result in platform.process())
        assert platform.query("select count(*) from {people}") == [(2,)]
        wrong = {**shop.server.secret(shop.name), "password": f"{VALUE}-secret", "username": f"{VALUE}_user"}
        services.secrets.put_secret_value(SecretId=shop.secret, SecretString=json.dumps(wrong))
        hour_later = replace(services, now=lambda: services.now() + timedelta(hours=1))
        assert replace(platform, services=hour_later).process() == []
    assert "the database does not take the user and password of the secret" in caplog.text
    assert messages_in_clear(platform) >= {"delivery_published", "target_refused"}
    seen = (platform, caplog.text)
    assert places(caplog.text, VALUE) == []
    no_value_in_the_ledger(platform)
    test_the_catalog_and_the_clean_zone_have_neither(seen)
    test_no_file_of_the_machine_has_any(seen)
    records = [record for run in instance.get_runs() for record in instance.all_logs(run.run_id)]
    assert places("\n".join(dg.serialize_value(record) for record in records), VALUE) == []


def objects(services: Services, bucket: str) -> Iterator[tuple[str, bytes]]:
    pages = services.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for each in (each for page in pages for each in page.get("Versions", ())):
        found = services.s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        yield each["Key"], found["Body"].read()


@pytest.fixture(scope="module")
def module_services(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Services:
    return make_services(aws, tmp_path_factory.mktemp("home"))
