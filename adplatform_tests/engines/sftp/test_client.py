"""Passes of our own SFTP client: what of a server's files lands, whatever happens on the way."""

import gzip
import json
import os
import re
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.sftp import SftpSource
from adplatform.engines.inventory import State
from adplatform.engines.sftp.client import Server, fetch_files, findings
from adplatform.engines.sftp.inventory import take_inventory
from adplatform.engines.sftp.source import client_files
from adplatform.engines.sftp.targets import FILES
from adplatform.extract.extraction import Stopped
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.ledger.extracts import Extract
from adplatform.sftp.places import rules_of
from adplatform_tests.support.calls import CountedAws, WatchedAws
from adplatform_tests.support.clocks import Clock
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.sftp_faults import Faults, FaultyHost, faulty_host

PASSWORD = "not-so-secret"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBNbIXTcKGDwsFIGCGc7ZbBgzqDuBgbTj0RmGtKYvW2p"
DAY = datetime.now(UTC).date() - timedelta(days=1)
FEED = {
    "name": "orders",
    "start_date": "2026-01-01",
    "remote": "orders_{date:%Y%m%d}*.csv",
    "ready": {"stable_for": "0s"},
    "columns": {"order_id": "bigint"},
}


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fuse:
    """Kills before the call that burns it down, and every one after it: nothing runs in a process that is gone."""

    left: int = 1_000_000

    def burn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


@dataclass
class Partner:
    """A server that misbehaves as it is told, and passes over its files."""

    services: Services
    host: FaultyHost
    declared: dict[str, Any]
    tmp: Path
    clock: Clock
    rows: list[Extract] = field(default_factory=list)

    @property
    def faults(self) -> Faults:
        return self.host.faults

    @property
    def server(self) -> Server:
        feeds = [{**feed, "remote": f"{self.host.folder}/out/{feed['remote']}"} for feed in self.declared["feeds"]]
        declared = SftpSource.model_validate({**self.declared, "feeds": feeds})
        source = declared_source(declared, self.services.zones.raw_bucket)
        return Server(declared, replace(source, takes_files=False))

    def put(self, name: str, content: bytes = b"order_id\n1\n", ago: float = 3600) -> Path:
        path = self.host.folder / f"out/orders_{DAY:%Y%m%d}_{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        at = datetime.now(UTC).timestamp() - ago
        os.utime(path, (at, at))
        return path

    def wanted(self) -> Extract:
        row = self.services.ledger.extracts.want("acme", FILES, f"pass{len(self.rows)}")
        assert row is not None
        self.rows.append(row)
        return row

    def go(self, row: Extract | None = None, through: Services | None = None) -> Extract:
        """One try of a pass."""
        services, extracts = through or self.services, self.services.ledger.extracts
        claimed = extracts.claim(row or self.wanted(), "run")
        assert claimed is not None
        folder = self.tmp / f"{len(list(self.tmp.iterdir()))}"
        folder.mkdir()
        return fetch_files(services, self.server, claimed, extracts.last("acme", FILES), folder)

    def again(self) -> Extract:
        """The pass that was tried last, given back by whoever found its run dead."""
        extracts = self.services.ledger.extracts
        latest = extracts.get("acme", FILES, self.rows[-1].id)
        assert latest is not None
        given = extracts.give_back(latest, "its run died", None, failed=True)
        assert given is not None
        return given

    def manifest(self, row: Extract) -> dict[str, Any]:
        body = self.services.s3.get_object(Bucket=self.services.zones.raw_bucket, Key=row.manifest_key)["Body"]
        found: dict[str, Any] = json.loads(body.read())
        return found

    def brought(self, row: Extract) -> dict[str, bytes]:
        """What a pass says that it brought, by name."""
        found = {}
        for each in self.manifest(row)["files"]:
            got = self.services.s3.get_object(
                Bucket=self.services.zones.raw_bucket, Key=each["key"], VersionId=each["version"]
            )
            name = each["key"].removeprefix(f"landing/acme/orders/dt={DAY}/orders_{DAY:%Y%m%d}_").removesuffix(".csv")
            assert name not in found
            found[name] = got["Body"].read()
            assert len(found[name]) == each["bytes"]
        return found

    def read(self) -> list[str]:
        """The files that were opened for reading since this was asked last."""
        found = [each for each in self.faults.requests if each.startswith("open ")]
        self.faults.requests.clear()
        return found


@pytest.fixture
def partner(services: Services, tmp_path: Path) -> Iterator[Partner]:
    folder, work = tmp_path / "remote", tmp_path / "work"
    (folder / "out").mkdir(parents=True)
    work.mkdir()
    clock = Clock(timedelta(0))
    services = replace(services, now=clock)
    provision(services, [])
    secret = f"{services.settings.ledger_table}/sftp"
    services.secrets.create_secret(Name=secret, SecretString=json.dumps({"Username": "partner", "Password": PASSWORD}))
    with faulty_host(folder, Faults(password=PASSWORD)) as host:
        told = {
            "kind": "client",
            "host": host.host,
            "port": host.port,
            "secret": secret,
            "host_keys": [host.host_key],
        }
        declared = {"source": "acme", "from": told, "feeds": [FEED]}
        yield Partner(services, host, declared, work, clock)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_before_or_after_any_call_loses_no_file_and_brings_none_twice(partner: Partner, step: int) -> None:
    for number in range(3):
        partner.put(f"{number}", f"order_id\n{number}\n".encode())
    fuse = Fuse()
    watched = frozenset({"s3", "dynamodb"})
    told = partner.services.aws
    aws = WatchedAws(told.region, told.endpoint_url, called=fuse.burn, services=watched)
    through = replace(partner.services, aws=aws)
    calls = 0
    while True:
        fuse.left = calls
        try:
            done = partner.go(through=through)
        except Killed:
            fuse.left = 1_000_000
            latest = partner.services.ledger.extracts.get("acme", FILES, partner.rows[-1].id)
            assert latest is not None
            done = latest if latest.ended else partner.go(partner.again())
            assert partner.brought(done) == {f"{n}": f"order_id\n{n}\n".encode() for n in range(3)}
            assert partner.brought(partner.go()) == {}
            for number in range(3):
                partner.put(f"{number}", f"order_id\n{number}\n".encode(), ago=3600 + 60 * (calls + 1))
        else:
            break
        calls += step
    assert calls > 10
    assert len(partner.brought(done)) == 3


def test_what_was_landed_before_a_pass_broke_off_is_not_fetched_again(partner: Partner) -> None:
    for number in range(60):
        partner.put(f"{number:02}")
    partner.read()

    def down(path: str, _: int) -> object:
        return "drop" if path.endswith("_40.csv") or partner.faults.sessions == 0 else None

    def shut(path: str, offset: int) -> object:
        if path.endswith("_40.csv"):
            partner.faults.sessions = 0
        return down(path, offset)

    partner.faults.on_read = shut
    with pytest.raises(TransientFailure):
        partner.go()
    before = set(partner.read())
    partner.faults.sessions, partner.faults.on_read = 1000, lambda _path, _offset: None
    done = partner.go(partner.again())
    after = set(partner.read())
    assert len(partner.brought(done)) == 60
    assert len(before) > 5
    assert len(after) < 60
    assert len(before & after) < len(before)


def test_a_connection_that_drops_in_mid_file_is_made_again_in_the_same_pass(partner: Partner) -> None:
    content = os.urandom(5 << 20)
    partner.put("large", content)
    dropped: list[int] = []

    def drop(_: str, offset: int) -> object:
        if offset > (3 << 20) and not dropped:
            dropped.append(offset)
            return "drop"
        return None

    partner.faults.on_read = drop
    done = partner.go()
    assert dropped
    assert partner.brought(done) == {"large": content}
    assert partner.manifest(done)["left"] == {}


def test_a_file_that_grows_while_it_comes_lands_once_it_is_whole(partner: Partner) -> None:
    path = partner.put("slow", b"x" * (1 << 20))

    def grow(_: str, __: int) -> object:
        partner.faults.on_read = lambda _path, _offset: None
        path.write_bytes(path.read_bytes() + b"more")
        return None

    partner.faults.on_read = grow
    first = partner.go()
    assert (partner.brought(first), partner.manifest(first)["left"]) == ({}, {})
    assert partner.brought(partner.go()) == {"slow": b"x" * (1 << 20) + b"more"}


def test_a_file_that_vanishes_before_it_is_fetched_is_nobodys_concern(partner: Partner) -> None:
    partner.put("here")
    path = partner.put("gone")

    def vanish(name: str, _: int) -> object:
        path.unlink(missing_ok=True)
        return None

    partner.declared["from"]["connections"] = 1
    partner.faults.on_read = vanish
    done = partner.go()
    assert set(partner.brought(done)) in ({"here"}, {"here", "gone"})
    assert partner.manifest(done)["left"] == {}
    assert partner.brought(partner.go()) == {}


def test_a_file_that_may_not_be_read_rests_and_is_said_each_time_it_was_tried(partner: Partner) -> None:
    path = partner.put("secret")
    partner.put("open")
    partner.faults.denied.add(str(path))
    done = partner.go()
    assert set(partner.brought(done)) == {"open"}
    [(where, why)] = partner.manifest(done)["left"].items()
    assert where == str(path)
    assert "could not be fetched" in why
    assert "may not do that" in why
    partner.read()
    resting = partner.go()
    assert (partner.read(), partner.manifest(resting)["resting"], partner.manifest(resting)["left"]) == ([], 1, {})
    partner.faults.denied.clear()
    partner.clock.ahead += timedelta(minutes=6)
    assert set(partner.brought(partner.go())) == {"secret"}


def test_a_wish_to_stop_ends_a_pass_and_the_next_brings_all(partner: Partner) -> None:
    for number in range(20):
        partner.put(f"{number:02}")
    row = partner.wanted()

    def stop(_: str, __: int) -> object:
        partner.faults.on_read = lambda _path, _offset: None
        latest = partner.services.ledger.extracts.get("acme", FILES, row.id)
        assert latest is not None
        partner.services.ledger.extracts.stop(latest)
        partner.clock.ahead += timedelta(seconds=10)
        return None

    partner.faults.on_read = stop
    with pytest.raises((Stopped, TransientFailure)):
        partner.go(row)
    assert len(partner.brought(partner.go())) == 20


def test_a_pass_that_began_before_another_ended_goes_on_with_what_that_knew(partner: Partner) -> None:
    partner.put("a")
    earlier = partner.go()
    claimed = partner.services.ledger.extracts.claim(partner.wanted(), "run")
    assert claimed is not None
    partner.go()
    folder = partner.tmp / "later"
    folder.mkdir()
    done = fetch_files(partner.services, partner.server, claimed, earlier, folder)
    assert partner.brought(done) == {}
    assert partner.brought(partner.go()) == {}


@pytest.mark.parametrize("damage", ["gone", "no gzip", "no JSON"])
def test_without_what_was_remembered_nothing_is_fetched_anew_in_silence(partner: Partner, damage: str) -> None:
    partner.put("a")
    done = partner.go()
    bucket, key = partner.services.zones.raw_bucket, f"extracts/acme/files/{done.id}.known.gz"
    if damage == "gone":
        partner.services.s3.delete_object(Bucket=bucket, Key=key)
    else:
        body = b"no" if damage == "no gzip" else gzip.compress(b"no\n")
        partner.services.s3.put_object(Bucket=bucket, Key=key, Body=body)
    with pytest.raises(PermanentFailure, match=f"{done.id}.known.gz is (gone|damaged).*restore"):
        partner.go()


def test_of_what_is_remembered_only_the_last_pass_is_kept(partner: Partner) -> None:
    for number in range(3):
        partner.put(f"{number}")
        last = partner.go()
    bucket = partner.services.zones.raw_bucket
    listed = partner.services.s3.list_objects_v2(Bucket=bucket, Prefix="extracts/acme/files/")["Contents"]
    memories = [each["Key"] for each in listed if each["Key"].endswith(".known.gz")]
    assert memories == [f"extracts/acme/files/{last.id}.known.gz"]


def test_many_files_cost_one_call_each_and_few_more(partner: Partner) -> None:
    for number in range(100):
        partner.put(f"{number:03}")
    counted = CountedAws(partner.services.aws.region, partner.services.aws.endpoint_url)
    row = partner.wanted()
    with counted.most(100 + 25):
        partner.go(row, through=replace(partner.services, aws=counted))


def test_feeds_that_share_a_folder_and_one_below_it_list_it_once(partner: Partner) -> None:
    below = {**FEED, "name": "regions", "remote": "*/r_{date:%Y%m%d}.csv"}
    partner.declared["feeds"] = [FEED, {**FEED, "name": "returns", "remote": "returns_{date:%Y%m%d}.csv"}, below]
    partner.put("a")
    (partner.host.folder / f"out/returns_{DAY:%Y%m%d}.csv").write_text("order_id\n1\n")
    for region in ("eu", "us"):
        (partner.host.folder / f"out/{region}").mkdir()
        (partner.host.folder / f"out/{region}/r_{DAY:%Y%m%d}.csv").write_text("order_id\n1\n")
    partner.faults.requests.clear()
    done = partner.go()
    keys = sorted(each["key"].removeprefix("landing/acme/") for each in partner.manifest(done)["files"])
    assert keys == [
        f"orders/dt={DAY}/orders_{DAY:%Y%m%d}_a.csv",
        f"regions/dt={DAY}/eu/r_{DAY:%Y%m%d}.csv",
        f"regions/dt={DAY}/us/r_{DAY:%Y%m%d}.csv",
        f"returns/dt={DAY}/returns_{DAY:%Y%m%d}.csv",
    ]


def test_a_folder_that_is_not_there_is_a_finding_with_what_to_do(partner: Partner) -> None:
    assert list(findings(partner.services, partner.server)) == []
    partner.declared["feeds"] = [{**FEED, "remote": "in/{file}"}]
    [finding] = findings(partner.services, partner.server)
    assert finding.fatal
    assert finding.text.startswith(f"folder {partner.host.folder}/out/in: there is no such file or folder")
    assert "correct `remote`" in finding.text


def test_a_folder_that_is_not_there_holds_up_no_other_feed_and_is_said_once(partner: Partner) -> None:
    partner.declared["feeds"] = [FEED, {**FEED, "name": "returns", "remote": "later/{file}"}]
    partner.put("a")
    (finding,) = findings(partner.services, partner.server)
    assert not finding.fatal
    first, second = partner.go(), partner.go()
    assert set(partner.brought(first)) == {"a"}
    [(where, why)] = partner.manifest(first)["left"].items()
    assert where == f"{partner.host.folder}/out/later"
    assert "no such file or folder" in why
    assert "correct `remote`" in why
    assert partner.manifest(second)["left"] == {}
    (partner.host.folder / "out/later").mkdir()
    (partner.host.folder / "out/later/r.csv").write_text("order_id\n1\n")
    assert [each["key"].rpartition("/")[2] for each in partner.manifest(partner.go())["files"]] == ["r.csv"]


def test_a_disk_without_room_is_said_and_what_did_not_come_comes_later(partner: Partner) -> None:
    partner.put("large", b"x" * (2 << 20))
    partner.put("small")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        done = partner.go()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(partner.brought(done)) == {"small"}
    [why] = partner.manifest(done)["left"].values()
    assert "local disk: File too large" in why
    partner.clock.ahead += timedelta(minutes=6)
    assert set(partner.brought(partner.go())) == {"large"}


def test_of_files_that_may_not_be_read_one_reason_is_said_for_all(partner: Partner) -> None:
    partner.faults.denied |= {str(partner.put(f"{number}")) for number in range(5)}
    assert len(set(partner.manifest(partner.go())["left"].values())) == 1


def plain(partner: Partner, ago: float) -> Path:
    """A file without a date in its name."""
    partner.declared["feeds"] = [{**FEED, "remote": "{file}"}]
    path = partner.host.folder / "out/orders.csv"
    path.write_text("order_id\n1\n")
    at = datetime.now(UTC).timestamp() - ago
    os.utime(path, (at, at))
    return path


def test_a_clock_that_is_ahead_is_told_once_with_how_far_it_is(partner: Partner) -> None:
    inbox = Inbox.subscribe(partner.services)
    path = plain(partner, ago=-(2 * 24 * 3600 + 30 * 60))
    partner.go()
    path.write_text("order_id\n1\n2\n")
    plain(partner, ago=-(2 * 24 * 3600 + 30 * 60))
    partner.go()
    [unsent] = partner.services.ledger.messages.unsent("acme")
    assert inbox.read() == []
    assert unsent.event == "clock_ahead"
    assert re.search(r"2 d (29|30) min ahead: .*/out/orders\.csv", json.loads(unsent.facts)["error"])
    [item] = take_inventory(partner.services, partner.server.source).items
    assert (item.state, item.reason.partition(",")[2]) == (
        State.LANDED,
        " which has not begun: the clock there is ahead",
    )


def test_a_pass_begins_with_no_look_at_the_server_unless_there_is_doubt(partner: Partner) -> None:
    def doubtful() -> bool:
        pattern = client_files(partner.server.declared, partner.services.settings)
        [target] = pattern.targets(partner.services)
        return target.doubtful()

    assert doubtful(), "no pass has succeeded"
    partner.put("a")
    partner.go()
    assert not doubtful()
    partner.services.ledger.messages.note_trouble("acme", f"target/{FILES}", "it lets nobody in")
    assert doubtful()


def test_another_pass_is_wanted_when_files_may_be_whole_if_that_is_before_the_next_slot(partner: Partner) -> None:
    runs = partner.services.ledger.engine_runs
    partner.declared["feeds"] = [{**FEED, "ready": {"stable_for": "10m"}}]
    now = partner.clock()
    begun = timedelta(hours=now.hour, minutes=now.minute)
    # The next slot is in 5 minutes, and in a day.
    partner.declared |= {"every": "1d", "offset": f"{int((begun + timedelta(minutes=5)).total_seconds()) % 86400}s"}
    partner.put("a")
    partner.go()
    assert runs.pursued("acme") == []
    partner.declared["offset"] = f"{int(begun.total_seconds())}s"
    partner.put("b")
    row = partner.wanted()
    partner.go(row)
    [look] = runs.pursued("acme")
    assert (look.target, look.key) == (FILES, f"look/{row.id}")
    assert look.not_before
    assert timedelta(minutes=9) < look.not_before - now < timedelta(minutes=11)
    partner.clock.ahead += timedelta(minutes=10)
    assert set(partner.brought(partner.go())) == {"a", "b"}
    assert len(runs.intentions("acme", FILES)) == 1


def test_a_secret_of_no_simulated_server_is_said(partner: Partner) -> None:
    partner.declared = {**partner.declared, "simulated": True}
    del partner.declared["from"]["host"]
    with pytest.raises(PermanentFailure, match="is of no simulated server: leave `simulated` out"):
        partner.go()


def test_a_wrong_password_is_said_without_it(partner: Partner) -> None:
    told = json.dumps({"Username": "partner", "Password": "wrong-one"})
    partner.services.secrets.put_secret_value(SecretId=partner.declared["from"]["secret"], SecretString=told)
    partner.put("a")
    done = partner.go()
    assert set(partner.brought(done)) == {"a"}, "the version before is tried, too"
    partner.faults.password = "another"
    with pytest.raises(PermanentFailure, match="does not take the key or password") as caught:
        partner.go()
    assert "wrong-one" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_feed_all_of_whose_files_are_anothers_is_refused_by_name() -> None:
    feeds = [{**FEED, "remote": "/out/*.csv"}, {**FEED, "name": "refunds", "remote": "/out/refunds_*.csv"}]
    host = {"kind": "client", "host": "h", "secret": "s", "host_keys": [KEY]}
    with pytest.raises(PermanentFailure, match=r"feed refunds: all files of its remote .* are those of orders, too"):
        rules_of(SftpSource.model_validate({"source": "acme", "from": host, "feeds": feeds}))
    both = rules_of(SftpSource.model_validate({"source": "acme", "from": host, "feeds": feeds[::-1]}))
    taken = [rule.feed for rule in both if rule.place("/out/refunds_1.csv", datetime(2026, 3, 1, tzinfo=UTC))]
    assert taken == ["refunds"]
