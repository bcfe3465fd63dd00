"""A server is believed only with a certificate that is good for its name; credentials stay where they belong."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from adplatform.extract import connection
from adplatform.extract.connection import Connecting, Credentials, database, database_failures, read_credentials
from adplatform.failures import CredentialsRefused, EnvironmentFailure, PermanentFailure
from adplatform.flow.services import Services
from adplatform.local.world.postgres import PostgresServer
from adplatform_tests.support.tls import Secured, secured_server


@pytest.fixture(scope="module", params=["127.0.0.1", "192.0.2.1"])
def secured(request: pytest.FixtureRequest) -> Iterator[Secured]:
    try:
        with secured_server(request.param) as made:
            yield made
    except PermanentFailure as e:
        pytest.skip(f"this server has no TLS: {e}")


def asked(server: PostgresServer, how: Connecting) -> list[Any]:
    credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, "postgres")
    with database_failures("shop"), database(credentials, how) as engine, engine.connect() as opened:
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        return [row[0] for row in opened.exec_driver_sql(query)]


def test_a_certificate_must_be_of_the_authority_and_for_the_host(
    secured: Secured, request: pytest.FixtureRequest
) -> None:
    good = request.node.callspec.params["secured"] == "127.0.0.1"
    with pytest.raises(PermanentFailure, match="certificate is not trusted, or not for its name"):
        asked(secured.server, Connecting())
    if good:
        assert asked(secured.server, Connecting(authority=secured.authority)) == [True]
    else:
        with pytest.raises(PermanentFailure, match="certificate is not trusted, or not for its name"):
            asked(secured.server, Connecting(authority=secured.authority))


def test_a_server_without_tls_is_not_believed(postgres: PostgresServer) -> None:
    with pytest.raises(PermanentFailure, match="the server speaks no TLS"):
        asked(postgres, Connecting())
    assert asked(postgres, Connecting(verified=False)) == [False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "is no JSON object with engine, host, username, password, dbname"),
        ('{"engine": "postgres", "host": "h", "username": "u", "password": ""}', "with password, dbname"),
        ('{"engine": "postgres", "host": "h", "username": "u", "password": "p", "dbname": "d", "port": "x"}', "port"),
    ],
)
def test_a_secret_that_lacks_something_is_refused_and_not_quoted(services: Services, text: str, said: str) -> None:
    services.secrets.create_secret(Name=f"{services.settings.raw_bucket}/db", SecretString=text)
    with pytest.raises(CredentialsRefused, match=said) as refused:
        read_credentials(services.secrets, f"{services.settings.raw_bucket}/db")
    assert text not in f"{refused.value} {refused.value.__context__ if refused.value.__cause__ else ''}"


def test_a_secret_that_is_missing_is_waited_for(services: Services) -> None:
    with pytest.raises(EnvironmentFailure, match="secret nowhere/db"):
        read_credentials(services.secrets, "nowhere/db")


def test_credentials_show_no_password(services: Services) -> None:
    secret = {"engine": "PostgreSQL", "host": "h", "username": "u", "password": "hidden", "dbname": "d"}
    services.secrets.create_secret(Name=f"{services.settings.raw_bucket}/db", SecretString=json.dumps(secret))
    found = read_credentials(services.secrets, f"{services.settings.raw_bucket}/db")
    assert (found.engine, found.port, found.password) == ("postgres", 5432, "hidden")
    assert "hidden" not in f"{found!r} {found} {found.place}"
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize("engine", ["sqlserver", "oracle"])
def test_a_database_whose_certificate_is_not_verified_is_not_reached(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    credentials = Credentials(engine, "db.example.com", 1, "u", "p", "d")
    with pytest.raises(PermanentFailure, match="lead a tunnel"), database(credentials, Connecting()):
        pass
    with (
        pytest.raises(PermanentFailure, match="for a database of this machine"),
        database(credentials, Connecting(verified=False)),
    ):
        pass
