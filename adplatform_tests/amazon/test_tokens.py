"""Access tokens: asked for once, kept in secret, replaced in time; and what Login with Amazon's refusals mean."""

import json
import logging
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from adplatform.amazon.credentials import Credentials, read_credentials
from adplatform.amazon.tokens import KEPT, Token, Tokens
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import World
from adplatform.platform.aws import Aws
from adplatform_tests.amazon.wire import RESET, Seen, Wire, in_turn, reply, serving_bytes

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
HTTP = httpx.Client(verify=False, timeout=5)
SECRETS = ("S3CR3T-of-the-client", "Atzr|S3CR3T-refresh")


@dataclass
class Store:
    """Secrets Manager, counting how often the secret is read."""

    client: Any
    name: str
    reads: int = 0

    def get_secret_value(self, **asked: Any) -> Any:
        self.reads += asked["VersionStage"] == "AWSCURRENT"
        return self.client.get_secret_value(**asked)

    def put(self, client_secret: str, refresh_token: str = SECRETS[1], client_id: str = "app") -> None:
        text = json.dumps({"client_id": client_id, "client_secret": client_secret, "refresh_token": refresh_token})
        self.client.put_secret_value(SecretId=self.name, SecretString=text)


@pytest.fixture
def store(aws: Aws) -> Store:
    client, name = aws.client("secretsmanager"), f"app-{uuid.uuid4().hex}"
    client.create_secret(Name=name)
    store = Store(client, name)
    store.put(SECRETS[0])
    return store


@dataclass
class Login:
    """Login with Amazon that knows which secret and refresh token are good, and gives numbered tokens."""

    secret: str = SECRETS[0]
    refresh: str = SECRETS[1]
    lasts: Any = 3600
    issued: int = 0
    slow: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, seen: Seen) -> bytes:
        time.sleep(self.slow)
        form = {name: value[0] for name, value in parse_qs(seen.body.decode()).items()}
        if form["client_secret"] != self.secret:
            return reply(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if form["refresh_token"] != self.refresh:
            return reply(400, {"error": "invalid_grant", "error_description": "The request has an invalid grant"})
        with self.lock:
            self.issued += 1
        body = {"access_token": f"Atza|S3CR3T-{self.issued}", "token_type": "bearer", "expires_in": self.lasts}
        return reply(200, body)


@pytest.fixture
def login() -> Login:
    return Login()


@dataclass
class Bench:
    wire: Wire
    store: Store
    directory: Path
    at: list[datetime]

    def tokens(self) -> Tokens:
        """As a process of its own would have them."""
        return Tokens(HTTP, self.wire.url, self.store, self.store.name, self.directory, lambda: self.at[0])

    def later(self, seconds: float) -> None:
        self.at[0] += timedelta(seconds=seconds)

    def files(self) -> list[Path]:
        return [p for p in self.directory.iterdir() if p.suffix != ".lock"]


@pytest.fixture
def bench(login: Login, store: Store, tmp_path: Path) -> Iterator[Bench]:
    with serving_bytes(login) as wire:
        yield Bench(wire, store, tmp_path / "tokens", [NOW])


def answering(bench: Bench, *answers: bytes) -> Tokens:
    bench.wire.answer = in_turn(*answers)
    return bench.tokens()


# One request for everybody


def test_the_request_is_the_form_that_login_with_amazon_wants(bench: Bench) -> None:
    bench.tokens().get()
    (seen,) = bench.wire.seen
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"Atzr%7CS3CR3T" in seen.body
    assert parse_qs(seen.body.decode())["grant_type"] == ["refresh_token"]


def test_threads_and_clients_share_one_token(bench: Bench, login: Login) -> None:
    login.slow = 0.1
    mine = bench.tokens()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: (mine if n % 2 else bench.tokens()).get(), range(16)))
    assert found == {"Atza|S3CR3T-1"}
    assert len(bench.wire.seen) == 1


_PROCESS = """
import sys, httpx
from datetime import UTC, datetime
from pathlib import Path
from adplatform.amazon.tokens import Tokens
from adplatform.platform.aws import local_aws
aws, url, name, directory = sys.argv[1:]
secrets = local_aws(aws).client("secretsmanager")
tokens = Tokens(httpx.Client(), url, secrets, name, Path(directory), lambda: datetime(2026, 11, 20, 18, tzinfo=UTC))
print(tokens.get())
"""


def test_processes_share_one_token(bench: Bench, login: Login, aws_endpoint: str) -> None:
    login.slow = 1.0
    command = [sys.executable, "-c", _PROCESS, aws_endpoint, bench.wire.url, bench.store.name, str(bench.directory)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate(timeout=60)[0].strip() for process in processes} == {"Atza|S3CR3T-1"}
    assert bench.tokens().get() == "Atza|S3CR3T-1"
    assert len(bench.wire.seen) == 1


def test_a_refused_token_is_replaced_once_for_all(bench: Bench) -> None:
    first = bench.tokens().get()
    assert bench.tokens().get(first) == bench.tokens().get(first) == bench.tokens().get() == "Atza|S3CR3T-2"
    assert len(bench.wire.seen) == 2


def test_a_client_whose_predecessor_died_holding_the_lock_goes_on(bench: Bench) -> None:
    bench.tokens().get()
    (bench.directory / f"{bench.files()[0].name}.lock").write_text("dead")
    bench.later(3600)
    assert bench.tokens().get() == "Atza|S3CR3T-2"


# Time


@pytest.mark.parametrize(("lasts", "good_for"), [(3600, 3300), ("3600", 3300), (600.5, 480), (10, 8), (1e12, 86_100)])
def test_a_token_is_replaced_before_it_expires(bench: Bench, login: Login, lasts: Any, good_for: float) -> None:
    login.lasts = lasts
    assert bench.tokens().get() == "Atza|S3CR3T-1"
    bench.later(good_for - 1)
    assert bench.tokens().get() == "Atza|S3CR3T-1"
    bench.later(2)
    assert bench.tokens().get() == "Atza|S3CR3T-2"


def test_a_token_that_lasts_no_time_is_used_once(bench: Bench, login: Login) -> None:
    login.lasts = 0
    assert [bench.tokens().get(), bench.tokens().get()] == ["Atza|S3CR3T-1", "Atza|S3CR3T-2"]


# The file


def test_the_file_is_for_this_user_alone_and_has_no_secret_in_clear(bench: Bench) -> None:
    bench.tokens().get()
    (file,) = bench.files()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.directory.stat().st_mode) == 0o700
    for each in bench.directory.iterdir():
        assert not stat.S_IMODE(each.stat().st_mode) & 0o077
        content = each.read_bytes() + each.name.encode()
        assert not any(word in content for word in (b"S3CR3T", b"Atza", b"Atzr", b"app"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: b"",
        lambda body: body[: len(body) // 2],
        lambda body: body[:-1] + b"\x00",
        lambda body: b"\xff\xfe not base64",
        lambda body: b'{"token": "Atza|of-an-attacker", "expires": "2030-01-01T00:00:00+00:00"}',
    ],
    ids=["empty", "truncated", "changed", "garbage", "in clear"],
)
def test_a_damaged_file_is_no_token(bench: Bench, damage: Callable[[bytes], bytes]) -> None:
    bench.tokens().get()
    (file,) = bench.files()
    file.write_bytes(damage(file.read_bytes()))
    assert bench.tokens().get() == "Atza|S3CR3T-2"
    assert bench.tokens().get() == "Atza|S3CR3T-2"


def test_a_half_written_file_of_a_killed_process_is_in_nobodys_way(bench: Bench) -> None:
    bench.tokens().get()
    (file,) = bench.files()
    file.with_suffix(".new").write_bytes(b"half")
    bench.later(3600)
    assert bench.tokens().get() == "Atza|S3CR3T-2"
    assert bench.files() == [file]


def test_another_clients_secret_does_not_open_the_file(bench: Bench, login: Login) -> None:
    bench.tokens().get()
    login.secret = "another"
    bench.store.put("another")
    assert bench.tokens().get() == "Atza|S3CR3T-2"


# The secret


def test_the_secret_is_read_once_a_minute(bench: Bench) -> None:
    tokens = bench.tokens()
    for _ in range(5):
        tokens.get()
        assert tokens.client_id == "app"
    assert bench.store.reads == 1
    bench.later(KEPT.total_seconds())
    tokens.get()
    assert bench.store.reads == 2
    bench.later(-10)
    tokens.get()
    assert bench.store.reads == 3, "a clock that was set back says nothing about age"


def test_the_secret_is_read_again_when_a_token_is_refused(bench: Bench) -> None:
    tokens = bench.tokens()
    first = tokens.get()
    tokens.get(refused=first)
    assert bench.store.reads == 2


def test_a_rotated_secret_is_picked_up_at_once_when_the_old_one_is_refused(bench: Bench, login: Login) -> None:
    tokens = bench.tokens()
    tokens.get()
    login.secret = "rotated"
    bench.store.put("rotated")
    bench.later(3600 - 30)
    tokens._kept[bench.store.name] = (Credentials("app", *SECRETS), bench.at[0])
    assert tokens.get() == "Atza|S3CR3T-2"


def test_a_new_refresh_token_is_picked_up_at_once_when_the_old_one_is_refused(bench: Bench, login: Login) -> None:
    login.lasts = 10
    tokens = bench.tokens()
    tokens.get()
    login.refresh = "Atzr|new"
    bench.store.put(SECRETS[0], "Atzr|new")
    bench.later(20)
    assert tokens.get() == "Atza|S3CR3T-2"


def test_the_previous_secret_serves_until_amazon_knows_the_new_one(bench: Bench, login: Login) -> None:
    bench.store.put("not-yet-known")
    assert bench.tokens().get() == "Atza|S3CR3T-1"
    login.secret = "not-yet-known"
    bench.later(3600)
    assert bench.tokens().get() == "Atza|S3CR3T-2"


def test_the_previous_secret_of_another_app_is_not_tried(bench: Bench) -> None:
    bench.store.put("wrong", client_id="another")
    with pytest.raises(PermanentFailure, match="does not accept client_secret"):
        bench.tokens().get()
    assert all(b"client_id=another" in seen.body for seen in bench.wire.seen)


def test_members_may_have_blanks_around_them(bench: Bench) -> None:
    bench.store.put(f" {SECRETS[0]}\n", f"{SECRETS[1]}\n", "app\n")
    assert bench.tokens().client_id == "app"
    assert bench.tokens().get() == "Atza|S3CR3T-1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("S3CR3T", "client_id, client_secret, refresh_token"),
        ('{"client_id": "a", "client_secret": "S3CR3T"', "client_id"),
        ('["S3CR3T"]', "client_id"),
        ('{"client_id": "a", "client_secret": "S3CR3T"}', "no JSON object with refresh_token"),
        ('{"client_id": "a", "client_secret": "S3CR3T", "refresh_token": " "}', "refresh_token"),
        ('{"client_id": 1, "client_secret": "S3CR3T", "refresh_token": "S3CR3T"}', "client_id"),
    ],
)
def test_a_secret_that_is_none_is_a_permanent_failure_that_does_not_show_it(bench: Bench, text: str, says: str) -> None:
    bench.store.client.put_secret_value(SecretId=bench.store.name, SecretString=text)
    with pytest.raises(PermanentFailure, match=says) as failure:
        bench.tokens().get()
    assert "S3CR3T" not in _whole(failure.value)


def test_a_secret_that_does_not_exist_says_what_to_make(aws: Aws) -> None:
    with pytest.raises(PermanentFailure, match="make it, a JSON object with client_id"):
        read_credentials(aws.client("secretsmanager"), f"no-{uuid.uuid4().hex}")


# Refusals


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, "invalid_grant", "authorise the application again"),
        (400, "unauthorized_client", "authorise the application again"),
        (403, "access_denied", "authorise the application again"),
        (401, "invalid_client", "does not accept client_secret of secret .*: store the present one"),
        (400, "invalid_client", "does not accept client_secret"),
        (400, "invalid_request", "invalid_request: no refresh token"),
        (400, "invalid_scope", "refuses secret"),
    ],
)
def test_a_refusal_is_permanent_and_says_what_to_do(bench: Bench, status: int, code: str, says: str) -> None:
    tokens = answering(bench, reply(status, {"error": code, "error_description": "no refresh token"}))
    with pytest.raises(PermanentFailure, match=says) as failure:
        tokens.get()
    assert bench.store.name in str(failure.value)
    assert "S3CR3T" not in _whole(failure.value)
    assert not bench.files()


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, {"error": "server_error", "error_description": "Atza|S3CR3T"}),
        reply(503, {"error": "temporarily_unavailable"}),
        reply(400, {"error": "temporarily_unavailable"}),
        reply(503, "<html>busy</html>"),
        reply(502, {"error": "invalid_grant"}),
        reply(429, {"error": "invalid_client"}),
        reply(429, "slow down"),
        reply(400, "<html>Bad Request S3CR3T</html>"),
        reply(400, ["invalid_grant"]),
        reply(404, "not here"),
        reply(302, "", location="https://elsewhere/?S3CR3T"),
        reply(200, "<html>Welcome</html>"),
        reply(200, b""),
        reply(200, ["Atza|S3CR3T"]),
        reply(200, {"token_type": "bearer", "expires_in": 3600}),
        reply(200, {"access_token": "", "expires_in": 3600}),
        reply(200, {"access_token": "Atza|\u00fcS3CR3T", "expires_in": 3600}),
        reply(200, {"access_token": {"a": "S3CR3T"}, "expires_in": 3600}),
        reply(200, {"access_token": "Atza|S3CR3T"}),
        reply(200, {"access_token": "Atza|S3CR3T", "expires_in": "soon"}),
        reply(200, b'{"access_token": "Atza|S3CR3T", "expires_in": NaN}'),
        reply(200, {"access_token": "Atza|S3CR3T", "expires_in": 10**400}),
        reply(200, b"[" * 100_000),
        reply(200, b'{"access_token": "Atza|S3CR3T-cut', content_length="500"),
        b"garbage\r\n\r\n",
        RESET,
    ],
)
def test_what_login_with_amazon_does_not_say_may_pass(bench: Bench, login: Login, answer: bytes) -> None:
    tokens = answering(bench, answer)
    with pytest.raises(TransientFailure) as failure:
        tokens.get()
    assert not any(word in _whole(failure.value) for word in ("S3CR3T", "http://", "https://"))
    bench.wire.answer = login
    assert tokens.get() == "Atza|S3CR3T-1"


def test_nobody_answers(bench: Bench, tmp_path: Path) -> None:
    tokens = Tokens(HTTP, "http://127.0.0.1:1", bench.store, bench.store.name, tmp_path, lambda: NOW)
    with pytest.raises(TransientFailure, match="cannot be reached: ConnectError"):
        tokens.get()


def test_tokens_and_credentials_show_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.INFO)
    tokens = bench.tokens()
    value = tokens.get()
    shown = repr(tokens) + repr(Token(value, NOW)) + repr(Credentials("app", *SECRETS)) + caplog.text
    assert "S3CR3T" not in shown


def _whole(error: BaseException | None) -> str:
    """What a traceback may show of an error and all that led to it."""
    return f"{error!r} {_whole(error.__cause__)}" if error else ""


def test_the_simulated_login_revoked_and_rotated(store: Store, tmp_path: Path) -> None:
    world = World()
    app = world.credentials["ads"]
    store.put(app.secret, app.refresh_token, app.client_id)
    with serving(world) as server:
        url = f"{server.url}/auth/o2/token"
        tokens = Tokens(HTTP, url, store, store.name, tmp_path, world.now)
        first = tokens.get()
        old = app.secret
        new = world.rotate_secret("ads", keep_previous=True)
        store.put(new, app.refresh_token, app.client_id)
        assert tokens.get(refused=first) != first
        world.rotate_secret("ads", keep_previous=False)
        world.clock.advance(3600)
        with pytest.raises(PermanentFailure, match="store the present one"):
            tokens.get()
        world.credentials["ads"].secret = new
        world.revoke("ads")
        with pytest.raises(PermanentFailure, match="it was revoked"):
            tokens.get()
    assert old != new
