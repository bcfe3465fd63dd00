"""Files of SFTP servers in Dagster: from a real server's folder to a clean table."""

import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)

from adplatform.components import SftpFiles
from adplatform.contracts.sftp import SftpSource
from adplatform.engines.inventory import State
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import asked
from adplatform.engines.sftp.inventory import take_inventory
from adplatform.failures import plain
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import EngineRun, RunState
from adplatform.ledger.forgetting import EMPTY_KEPT, NEWEST_KEPT
from adplatform.platform.settings import read_settings
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.files.openpgp import Workshop
from adplatform_tests.support.clocks import Clock
from adplatform_tests.support.platforms import Platform, make_platform, resources_with
from adplatform_tests.support.sftp_host import SftpHost, sftp_host  # noqa: F401 - a fixture
from adplatform_tests.support.waiting import eventually

DAY = datetime.now(UTC).date() - timedelta(days=1)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "amount": "decimal(12,2)",
    },
    "key": "order_id",
}
AT_ONCE = {"stable_for": "0s"}


def put(host: SftpHost, name: str, *rows: tuple[int, str, str], ago: timedelta = timedelta(hours=1)) -> Path:
    """A file of the partner's, below the folder of the server, last changed so long ago."""
    path = host.folder / name.format(date=DAY.strftime("%Y%m%d"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("order_id,email,amount\n" + "".join(f"{n},{mail},{amount}\n" for n, mail, amount in rows))
    at = (datetime.now(UTC) - ago).timestamp()
    os.utime(path, (at, at))
    return path


@pytest.fixture
def partner(sftp_host: SftpHost, services: Services, instance: dg.DagsterInstance) -> Callable[..., Platform]:  # noqa: F811
    """A platform that fetches from the server."""
    secret = f"{services.settings.ledger_table}/sftp"
    value = {"Username": sftp_host.user, "PrivateKey": sftp_host.private_key}
    services.secrets.create_secret(Name=secret, SecretString=json.dumps(value))

    def make(feed: dict[str, Any] | None = None, kind: str = "client", **more: Any) -> Platform:
        remote = f"{sftp_host.folder}/out/orders_{{date:%Y%m%d}}*.csv"
        server = {
            "kind": kind,
            "host": sftp_host.host,
            "port": sftp_host.port,
            "secret": secret,
            "host_keys": list(sftp_host.host_keys),
        }
        declared = {
            "source": "acme",
            "from": server,
            "every": "15m",
            "feeds": [{**ORDERS, "remote": remote, "ready": AT_ONCE, **(feed or {})}],
            **more,
        }
        return make_platform(replace(services, now=Clock(timedelta(0))), declared, instance, SftpFiles)

    return make


def later(platform: Platform, **by: float) -> Platform:
    """The platform, whose clock is set so long after the present."""
    clock = platform.services.now
    assert isinstance(clock, Clock)
    clock.ahead = timedelta(**by)
    return platform


def failures(results: list[dg.ExecuteInProcessResult]) -> list[str]:
    return [
        str(event.event_specific_data.error)
        for result in results
        for event in result.all_events
        if event.is_step_failure
    ]


def test_files_of_a_server_become_a_table(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    put(sftp_host, "out/orders_{date}_1.csv", (1, "ann@example.com", "9.90"), (2, "bob@example.com", "1.00"))
    put(sftp_host, "out/orders_{date}_2.csv", (3, "cy@example.com", "5.00"))
    put(sftp_host, "out/returns.csv", (9, "x@example.com", "0.00"))
    platform = partner()
    assert failures(platform.process()) == []
    found = platform.query("select order_id, length(email_lake), amount::varchar from {orders} order by 1")
    assert found == [(1, 64, "9.90"), (2, 64, "1.00"), (3, 64, "5.00")]
    [run] = platform.services.ledger.engine_runs.runs("acme", "files")
    assert (run.state, run.objects, run.records) == (RunState.SUCCEEDED, 2, None)


def test_files_come_by_a_connector_and_leave_the_server(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    file = put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    put(sftp_host, "out/done/keep.txt")
    platform = partner(kind="connector", afterwards={"move_to": "done"})
    pattern = SftpFiles(cast("SftpSource", platform.declared)).pattern(platform.services.settings)
    provision_patterns(platform.services, [pattern])
    assert eventually(lambda: [platform.process()] and platform.delivery("orders", DAY).published, 60)
    assert platform.query("select order_id, length(email_lake) from {orders}") == [(1, 64)]
    assert {item.path: item.state for item in take_inventory(platform.services, platform.source).items} == {
        str(file): State.DELIVERED
    }
    watch = cast("EngineFiles", pattern).watch(platform.services)
    watch.intend(watch.targets[0], asked(platform.services.now()))
    assert eventually(lambda: [platform.process()] and not file.exists(), 60)
    assert eventually((file.parent / "done" / file.name).exists)
    assert platform.query("select count(*) from {orders}") == [(1,)]


def test_a_file_that_changed_there_is_fetched_again_and_replaces_its_rows(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner()
    put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    platform.process()
    put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "10.90"), ago=timedelta(minutes=5))
    assert failures(later(platform, minutes=15).process()) == []
    assert failures(later(platform, minutes=30).process()) == []
    assert platform.query("select amount::varchar from {orders}") == [("10.90",)]
    runs = platform.services.ledger.engine_runs.runs("acme", "files")
    assert [run.objects for run in runs] == [1, 1, 0]


@pytest.mark.slow
def test_a_file_is_taken_once_two_looks_found_it_the_same(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner({"ready": {"stable_for": "10m"}})
    put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    assert len(platform.process()) == 1
    results = later(platform, minutes=15).process()
    assert failures(results) == []
    assert len(results) == 2
    assert platform.query("select count(*) from {orders}") == [(1,)]


@pytest.mark.slow
def test_where_the_server_is_looked_at_once_a_day_a_file_is_taken_on_the_day_on_which_it_came(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    hour = (datetime.now(UTC) - timedelta(hours=1)).hour
    platform = partner({"ready": {"stable_for": "10m"}}, every="1d", offset=f"{hour}h")
    put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    assert len(platform.process()) == 1
    assert len(later(platform, minutes=5).process()) == 0
    assert failures(later(platform, minutes=11).process()) == []
    assert platform.query("select count(*) from {orders}") == [(1,)]
    assert len(later(platform, minutes=30).process()) == 0


@pytest.mark.parametrize("afterwards", [pytest.param({"move_to": "done"}, marks=pytest.mark.slow), {"delete": True}])
def test_a_file_leaves_the_server_once_readers_see_it(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
    afterwards: dict[str, Any],
) -> None:
    platform = partner({"ready": {"stable_for": "0s", "marker": "{file}.done"}}, afterwards=afterwards)
    file = put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    marker = put(sftp_host, f"out/{file.name}.done")
    bad = put(sftp_host, f"out/orders_{DAY - timedelta(days=1):%Y%m%d}.csv", (1, "ann@example.com", "much"))
    put(sftp_host, f"out/{bad.name}.done")
    platform.process()
    assert file.exists()
    later(platform, minutes=15).process()
    assert not file.exists()
    assert not marker.exists()
    assert (file.parent / "done" / file.name).exists() is ("move_to" in afterwards)
    assert platform.query("select count(*) from {orders}") == [(1,)]
    assert later(platform, minutes=30).process() != []
    assert platform.query("select count(*) from {orders}") == [(1,)]


def test_a_marker_is_moved_before_its_file_so_that_none_is_left_alone(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner({"ready": {"stable_for": "0s", "marker": "{file}.done"}}, afterwards={"move_to": "done"})
    file = put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    marker = put(sftp_host, f"out/{file.name}.done")
    in_the_way = put(sftp_host, f"out/done/{marker.name}", (2, "in@the.way", "1.00"))
    platform.process()
    later(platform, minutes=15).process()
    assert (file.exists(), marker.exists()) == (True, True)
    in_the_way.unlink()
    later(platform, days=1, hours=1).process()
    assert (file.exists(), marker.exists()) == (False, False)


@pytest.mark.slow
@pytest.mark.parametrize(("move_to", "days"), [("done", 3), ("done/{date}", 2)])
def test_a_file_of_one_name_that_is_written_each_day_is_moved_or_people_hear_once_why_not(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
    move_to: str,
    days: int,
) -> None:
    platform = partner({"remote": f"{sftp_host.folder}/out/orders.csv"}, afterwards={"move_to": move_to})
    inbox = platform.messages
    for day in range(days):
        file = put(
            sftp_host,
            "out/orders.csv",
            *((n, "ann@example.com", "9.90") for n in range(day + 1)),
            ago=timedelta(days=3) - timedelta(days=day),
        )
        later(platform, hours=3 * day).process()
        later(platform, hours=3 * day + 1).process()
    assert platform.query("select count(*) from {orders}") == [(sum(range(days + 1)),)]
    said = [m["error"] for m in inbox.read() if m["event"] == "run_incomplete"]
    archived = [path for path in file.parent.rglob("*.csv") if path != file]
    if move_to == "done":
        [why] = said
        assert "there is another file already" in why
        assert "let `afterwards.move_to` hold {date}" in why
        assert (file.exists(), len(archived)) == (True, 1)
    else:
        assert (said, file.exists(), len(archived)) == ([], False, days)


def test_a_file_that_may_not_be_read_holds_up_no_other_and_people_are_notified(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner()
    inbox = platform.messages
    put(sftp_host, "out/orders_{date}_1.csv", (1, "ann@example.com", "9.90"))
    odd = put(sftp_host, "out/orders_{date}_2.csv", (2, "bob@example.com", "1.00"))
    link = odd.with_name(f"orders_{DAY:%Y%m%d}_3.csv")
    link.symlink_to("/etc/hostname")
    assert failures(platform.process()) == []
    assert platform.query("select count(*) from {orders}") == [(2,)]
    [message] = [m for m in inbox.read() if m["event"] == "run_incomplete"]
    assert "it is a link to ***, which is not below the folder" in message["error"]
    [noted] = platform.services.ledger.engine_runs.runs("acme", "files")
    assert "it is a link to /etc/hostname" in plain(noted.message or noted.error)
    assert failures(later(platform, minutes=15).process()) == []
    assert [m for m in inbox.read() if m["event"] == "run_incomplete"] == []


ODD_NAMES = (
    *("a b", " lead", "trail ", "p+q", "50%", "50%25", "%2F", "what?", "h#x", "semi;colon", "a&b=c", "back\\slash"),
    *("*", "[1]", "$HOME", "{file}", "a:b", "quote'\"", "é", "e\u0301", "日本", "x" * 150, "é" * 100),
)


@pytest.mark.slow
def test_files_with_odd_names_come_and_are_moved(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner(afterwards={"move_to": "done"})
    for number, name in enumerate(ODD_NAMES):
        path = sftp_host.folder / f"out/orders_{DAY:%Y%m%d}_{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"order_id,email,amount\n{number},ann@example.com,9.90\n")
    assert failures(platform.process()) == []
    assert platform.query("select count(*), count(distinct order_id) from {orders}") == [(len(ODD_NAMES),) * 2]
    assert failures(later(platform, minutes=16).process()) == []
    folder = sftp_host.folder / "out"
    assert [path.name for path in folder.iterdir()] == ["done"]
    assert len(list((folder / "done").iterdir())) == len(ODD_NAMES)


@pytest.mark.slow
def test_encrypted_and_zipped_files_are_read(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    body = b"order_id,email,amount\n%d,ann@example.com,9.90\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.csv", body % 1)
    with Workshop.open() as workshop:
        us, them = workshop.partner("us"), workshop.partner("them")
        plain = {"csv": body % 2, "zip": packed.getvalue()}
        sealed = {kind: workshop.encrypt(data, us, signers=[them]) for kind, data in plain.items()}
    remote = f"{sftp_host.folder}/out/orders_{{date:%Y%m%d}}.*"
    pgp = {"private_keys": [us.fingerprint], "signer_keys": [them.fingerprint], "signers": [them.fingerprint]}
    platform = partner({"remote": remote, "pgp": pgp})
    for name, key in ((us.fingerprint, us.private), (them.fingerprint, them.public)):
        platform.services.secrets.create_secret(Name=name, SecretString=key)
    for kind, message in sealed.items():
        put(sftp_host, f"out/orders_{{date}}.{kind}.pgp").write_bytes(message)
    assert failures(platform.process()) == []
    assert platform.query("select order_id from {orders} order by 1") == [(1,), (2,)]


@pytest.mark.slow
@pytest.mark.parametrize(("passphrase", "said"), [("open sesame", ""), ("wrong", "and Passphrase its passphrase")])
def test_a_key_with_a_passphrase_logs_in_with_it(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
    passphrase: str,
    said: str,
) -> None:
    platform = partner()
    inbox = platform.messages
    key = load_ssh_private_key(sftp_host.private_key.encode(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"open sesame")).decode()
    value = {"Username": sftp_host.user, "PrivateKey": locked, "Passphrase": passphrase}
    secret = cast("SftpSource", platform.declared).host.secret
    services = platform.services
    for _ in range(2):  # the version before is tried, too
        services.secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(value))
    put(sftp_host, "out/orders_{date}.csv", (1, "ann@example.com", "9.90"))
    platform.process()
    told = [m["error"] for m in inbox.read() if m["event"] == "target_refused"]
    assert bool(platform.delivery("orders", DAY).published) is not bool(said)
    assert [said in error and "sesame" not in error and locked not in error for error in told] == [True] * bool(said)


@pytest.mark.slow
def test_a_pass_that_somebody_stops_ends_is_not_wanted_again_and_the_next_slot_brings_all(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform, count = partner(), 120
    for number in range(count):
        put(sftp_host, f"out/orders_{{date}}_{number:03}.csv", (number, "ann@example.com", "9.90"))
    ledger = platform.services.ledger
    watch = cast("EngineFiles", pattern_of(platform)).watch(platform.services)
    results: list[dg.ExecuteInProcessResult] = []
    process = threading.Thread(target=lambda: results.extend(platform.process()))
    process.start()
    assert eventually(lambda: [row for row in ledger.extracts.active("acme") if row.run_id], 60)
    [run] = ledger.engine_runs.active("acme")
    watch.cancel(watch.targets[0], run)
    later(platform, seconds=6)
    process.join()
    assert [said.count("somebody stopped it") > 0 for said in failures(results)] == [True]
    assert platform.process() == []
    [ended] = ledger.engine_runs.runs("acme", "files")
    assert (ended.state, ended.objects) == (RunState.CANCELLED, 0)
    assert failures(later(platform, minutes=16).process()) == []
    assert platform.query("select count(*) from {orders}") == [(count,)]


def pattern_of(platform: Platform) -> EngineFiles:
    return cast("EngineFiles", SftpFiles(cast("SftpSource", platform.declared)).pattern(platform.services.settings))


@pytest.mark.parametrize("kind", ["client", "connector"])
def test_the_daily_collection_forgets_runs_of_long_ago(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
    kind: str,
) -> None:
    platform = partner(kind=kind)
    services, pattern = platform.services, SftpFiles(cast("SftpSource", platform.declared)).pattern(read_settings())
    target = cast("EngineFiles", pattern).names_of_targets[0]
    ended = services.now() - EMPTY_KEPT - timedelta(days=1)
    rows = [EngineRun("acme", target, f"{number}", found_at=ended, landed_at=ended) for number in range(NEWEST_KEPT)]
    services.ledger.access.put(rows[0].owner, [*rows, EngineRun("acme", target, "new", landed_at=services.now())])
    component = dg.component_defs(component=SftpFiles(cast("SftpSource", platform.declared)))
    made = dg.Definitions.merge(component, dg.Definitions(resources=resources_with(services)))
    assert made.resolve_job_def("acme_collect").execute_in_process(instance=platform.instance).success
    assert len(services.ledger.engine_runs.runs("acme", target)) == NEWEST_KEPT


def test_where_each_file_stands_is_listed(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner({"ready": {"stable_for": "10m"}})
    early = put(sftp_host, "out/orders_{date}_1.csv", (1, "ann@example.com", "9.90"))
    bad = put(sftp_host, f"out/orders_{DAY - timedelta(days=1):%Y%m%d}.csv", (1, "ann@example.com", "much"))
    platform.process()
    late = put(sftp_host, "out/orders_{date}_2.csv", (2, "bob@example.com", "1.00"))
    late.with_name(f"orders_{DAY:%Y%m%d}_3.csv").symlink_to("/etc/hostname")
    later(platform, minutes=15).process()
    found = take_inventory(platform.services, platform.source)
    assert {Path(item.path).name: item.state for item in found.items} == {
        early.name: State.DELIVERED,
        bad.name: State.LANDED,
        late.name: State.WAITING,
        f"orders_{DAY:%Y%m%d}_3.csv": State.REFUSED,
    }
    assert (found.initial and found.initial.objects, found.later) == (2, 0)


def test_another_host_key_is_said_with_the_one_that_came_and_those_that_are_pinned(
    partner: Callable[..., Platform],
    sftp_host: SftpHost,  # noqa: F811
) -> None:
    platform = partner()
    inbox = platform.messages
    sftp_host.restart(new_host_key=True)
    platform.process()
    later(platform, minutes=20).process()
    [message] = [m for m in inbox.read() if m["event"] == "target_refused"]
    assert "shows the host key ssh-ed25519 SHA256:" in message["error"]
    assert "pinned are" in message["error"]
