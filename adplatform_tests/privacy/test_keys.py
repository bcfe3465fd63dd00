"""The key is fetched or the run stops; it is never shown."""

import base64
import copy
import json
import logging
import pickle
import socket
import uuid
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from adplatform.failures import EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.platform.aws import Aws, local_aws
from adplatform.privacy.keys import HashKey, create_key, fetch_key
from adplatform_tests.privacy.conftest import SECRET


@pytest.fixture
def secrets(aws: Aws) -> Any:
    return aws.client("secretsmanager")


def new_secret(secrets: Any, **content: Any) -> str:
    name = f"adplatform/hash-key-{uuid.uuid4().hex}"
    secrets.create_secret(Name=name, **content)
    return name


@pytest.mark.parametrize(
    "content",
    [
        {"SecretBinary": SECRET},
        {"SecretString": SECRET.hex()},
        {"SecretString": SECRET.hex().upper() + "\n"},
        {"SecretString": base64.b64encode(SECRET).decode()},
        {"SecretString": json.dumps({"key": base64.b64encode(SECRET).decode()})},
    ],
)
def test_every_documented_spelling_is_the_same_key(secrets: Any, content: dict[str, Any]) -> None:
    name = new_secret(secrets, **content)
    version = secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
    fetched = fetch_key(secrets, name)
    assert fetched.hmac("a@b.de") == HashKey("x", SECRET).hmac("a@b.de")
    assert [fetched.id] == [v[:8] for v in version]


@pytest.mark.parametrize(
    "content",
    [
        {"SecretBinary": SECRET[:31]},
        {"SecretBinary": b"\0" * 32},
        {"SecretString": "CHANGE-ME"},
        {"SecretString": "CHANGEME" * 8},
        {"SecretString": SECRET.hex()[:-2]},
        {"SecretString": "{not json"},
        {"SecretString": json.dumps({"password": "x" * 44})},
        {"SecretString": json.dumps({"key": ["x"]})},
        {"SecretString": json.dumps({"key": "ü" * 44})},
    ],
)
def test_what_is_not_a_key_is_refused_without_being_quoted(secrets: Any, content: dict[str, Any]) -> None:
    name = new_secret(secrets, **content)
    with pytest.raises(PermanentFailure, match=name) as failure:
        fetch_key(secrets, name)
    reported = "".join(map(str, (failure.value, failure.value.__cause__)))
    assert all(str(value) not in reported for value in content.values())


def test_whatever_needs_a_missing_or_deleted_secret_waits(secrets: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="ResourceNotFoundException"):
        fetch_key(secrets, "adplatform/absent")
    name = new_secret(secrets, SecretBinary=SECRET)
    secrets.delete_secret(SecretId=name)
    with pytest.raises(EnvironmentFailure, match="InvalidRequestException"):
        fetch_key(secrets, name)


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        ("AccessDeniedException", 400, EnvironmentFailure),
        ("DecryptionFailure", 400, EnvironmentFailure),
        ("InvalidParameterException", 400, PermanentFailure),
        ("ThrottlingException", 400, TransientFailure),
        ("InternalServiceError", 500, TransientFailure),
        ("SomethingNew", 503, TransientFailure),
    ],
)
def test_errors_of_the_service_fail_for_good_or_for_now(code: str, status: int, failure: type[Exception]) -> None:
    client = botocore.session.Session().create_client(
        "secretsmanager", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as answers:
        answers.add_client_error("get_secret_value", code, http_status_code=status)
        with pytest.raises(failure, match=rf"the-key.*{code}"):
            fetch_key(client, "the-key")


def test_a_service_that_is_not_there_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = local_aws(f"http://127.0.0.1:{taken.getsockname()[1]}").client("secretsmanager")
        with pytest.raises(TransientFailure, match="the-key"):
            fetch_key(client, "the-key")


def test_a_key_is_created_once_and_then_kept(secrets: Any) -> None:
    name = f"adplatform/hash-key-{uuid.uuid4().hex}"
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return SECRET if len(asked) == 1 else SECRET[::-1]

    first = create_key(secrets, name, random_bytes)
    assert first == fetch_key(secrets, name) == create_key(secrets, name, random_bytes)
    assert first == HashKey(first.id, SECRET)
    assert set(asked) == {32}


def test_rotation_gives_another_id(secrets: Any) -> None:
    name = new_secret(secrets, SecretBinary=SECRET)
    old = fetch_key(secrets, name)
    secrets.put_secret_value(SecretId=name, SecretBinary=SECRET[::-1])
    assert fetch_key(secrets, name).id != old.id


def test_no_text_of_a_key_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    key = HashKey("v1", SECRET)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("any").error("%s %r %s", key, key, {"key": key})
    shown = f"{key} {key!r} {[key]} {caplog.text}"
    assert "v1" in shown
    for spelling in (SECRET.hex(), str(SECRET), repr(SECRET)[2:-1], base64.b64encode(SECRET).decode()):
        assert spelling not in shown
    assert not hasattr(key, "__dict__")


def test_a_key_does_not_leave_its_process() -> None:
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="stays in its process"):
            leave(HashKey("v1", SECRET))
