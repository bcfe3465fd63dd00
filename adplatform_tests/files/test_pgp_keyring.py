"""Keys come from Secrets Manager: all of them, or a failure that says which one and shows none."""

import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from adplatform.contracts.feed import Pgp
from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.files.keyring import Key, fetch_keyring

KEY = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n"


@cache
def session() -> boto3.Session:
    return boto3.Session("local", "local", region_name="us-east-1")


def client(endpoint_url: str) -> Any:
    return session().client(
        "secretsmanager", endpoint_url=endpoint_url, config=Config(retries={"max_attempts": 0}, connect_timeout=5)
    )


@pytest.fixture(scope="module")
def secrets() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield client(f"http://{host}:{port}")
    server.stop()


def pgp(*private: str, signers: tuple[str, ...] = ()) -> Pgp:
    return Pgp(private_keys=private, signer_keys=signers, allow_unsigned=True)


def test_every_named_key_is_fetched_in_its_form(secrets: Any) -> None:
    secrets.create_secret(Name="forms/text", SecretString=KEY)
    secrets.create_secret(Name="forms/binary", SecretBinary=b"\x99\x01")
    secrets.create_secret(Name="forms/json", SecretString=json.dumps({"key": KEY, "passphrase": "p"}))
    secrets.create_secret(Name="forms/signer", SecretString="public")
    keyring = fetch_keyring(secrets, pgp("forms/text", "forms/binary", "forms/json", signers=("forms/signer",)))
    assert keyring.private_keys == (
        Key("forms/text", KEY.encode()),
        Key("forms/binary", b"\x99\x01"),
        Key("forms/json", KEY.encode(), "p"),
    )
    assert keyring.signer_keys == (Key("forms/signer", b"public"),)


def test_one_missing_key_of_several_fails_the_whole(secrets: Any) -> None:
    secrets.create_secret(Name="several/there", SecretString=KEY)
    with pytest.raises(EnvironmentFailure, match=r"several/absent.*ResourceNotFoundException"):
        fetch_keyring(secrets, pgp("several/there", "several/absent"))
    with pytest.raises(EnvironmentFailure, match="several/absent"):
        fetch_keyring(secrets, pgp("several/there", signers=("several/absent",)))


def test_secret_that_waits_for_its_deletion_is_missing(secrets: Any) -> None:
    secrets.create_secret(Name="deleted/key", SecretString=KEY)
    secrets.delete_secret(SecretId="deleted/key")
    with pytest.raises(EnvironmentFailure, match="deleted/key"):
        fetch_keyring(secrets, pgp("deleted/key"))


@pytest.mark.parametrize(
    "text", ['{"key": 1}', '{"private": "PRIVATE"}', '{"key": "PRIVATE', '{"key": "PRIVATE", "passphrase": 1}']
)
def test_json_of_another_form_is_refused_and_not_shown(secrets: Any, text: str) -> None:
    secrets.create_secret(Name=f"malformed/{abs(hash(text))}", SecretString=text)
    with pytest.raises(PermanentFailure, match="malformed/") as failure:
        fetch_keyring(secrets, pgp(f"malformed/{abs(hash(text))}"))
    assert "PRIVATE" not in str(failure.value)


def test_keys_do_not_show_in_a_repr() -> None:
    assert repr(Key("name", b"material", "phrase")) == "Key(secret='name')"


class Answer(BaseHTTPRequestHandler):
    """Answers every call with the error that the path names, as Secrets Manager writes errors."""

    def do_POST(self) -> None:
        status, code = self.path.strip("/").split("/")
        body = json.dumps({"__type": code, "message": "no"}).encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def failing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("400/ThrottlingException", TransientFailure),
        ("500/InternalServiceError", TransientFailure),
        ("503/ServiceUnavailable", TransientFailure),
        ("400/AccessDeniedException", EnvironmentFailure),
        ("400/DecryptionFailure", EnvironmentFailure),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(failing: str, answer: str, failure: type[Exception]) -> None:
    with pytest.raises(failure, match="secret some/key"):
        fetch_keyring(client(f"{failing}/{answer}"), pgp("some/key"))


def test_service_that_cannot_be_reached_may_come_back() -> None:
    with pytest.raises(TransientFailure, match="some/key"):
        fetch_keyring(client("http://127.0.0.1:1"), pgp("some/key"))
