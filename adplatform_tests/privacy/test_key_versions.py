"""A new key takes the place of the current one, and an earlier one stays reachable for as long as it is needed."""

import uuid
from typing import Any

import pytest

from adplatform.failures import EnvironmentFailure
from adplatform.platform.aws import Aws
from adplatform.privacy.key_versions import (
    current_version,
    fetch_earlier_key,
    keep_reachable,
    key_versions,
    put_key,
    retire,
)
from adplatform.privacy.keys import HashKey, create_key, fetch_key

SECRETS = [bytes(range(start, start + 32)) for start in (7, 60, 120)]


@pytest.fixture
def secrets(aws: Aws) -> Any:
    return aws.client("secretsmanager")


@pytest.fixture
def name(secrets: Any) -> str:
    made = f"adplatform/hash-key-{uuid.uuid4().hex}"
    create_key(secrets, made, lambda _: SECRETS[0])
    return made


def test_a_new_key_is_made_once_however_often_it_is_put(secrets: Any, name: str) -> None:
    version = str(uuid.uuid4())
    put_key(secrets, name, version, lambda _: SECRETS[1])
    put_key(secrets, name, version, lambda _: SECRETS[2])
    assert fetch_key(secrets, name) == HashKey(version[:8], SECRETS[1])
    assert current_version(secrets, name).version == version


def test_earlier_keys_stay_reachable_after_many_rotations(secrets: Any, name: str) -> None:
    ids = [fetch_key(secrets, name).id]
    for secret in SECRETS[1:]:
        version = str(uuid.uuid4())
        put_key(secrets, name, version, lambda _, secret=secret: secret)
        assert keep_reachable(secrets, name, ids[-1])
        assert keep_reachable(secrets, name, ids[-1])
        ids.append(version[:8])
    for key_id, secret in zip(ids[:-1], SECRETS, strict=False):
        assert fetch_earlier_key(secrets, name, key_id) == HashKey(key_id, secret)


def test_a_retired_key_cannot_be_had_and_the_current_one_never_is_retired(secrets: Any, name: str) -> None:
    first, version = fetch_key(secrets, name), str(uuid.uuid4())
    put_key(secrets, name, version, lambda _: SECRETS[1])
    keep_reachable(secrets, name, first.id)
    retire(secrets, name, first.id)
    retire(secrets, name, version[:8])
    with pytest.raises(EnvironmentFailure, match=first.id):
        fetch_earlier_key(secrets, name, first.id)
    assert [v.id for v in key_versions(secrets, name)] == [version[:8]]
    assert not keep_reachable(secrets, name, first.id)


def test_a_secret_that_is_not_there_is_named(secrets: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="no-such-secret"):
        current_version(secrets, "no-such-secret")
