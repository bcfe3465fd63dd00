"""Executors believe a database's server as the embedded extractor does: by its certificate, for its name."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from adplatform.extract.connection import Connecting, Credentials
from adplatform.jobs.read_table import jdbc_options
from adplatform_tests.support.glue_jobs import jdbc_jar
from adplatform_tests.support.tls import secured_server

SHOP = Credentials("postgres", "db.example.com", 5432, "reader", "hidden", "shop")


def settings(options: dict[str, str]) -> dict[str, str]:
    """Those of pgJDBC in the URL."""
    query = urlsplit(options["url"].removeprefix("jdbc:")).query
    return {name: value for name, [value] in parse_qs(query, strict_parsing=True).items()}


def test_a_server_is_verified_by_the_certificates_that_are_given() -> None:
    given = settings(jdbc_options(SHOP, Connecting(authority="PEM"), "authority.pem"))
    assert (given["sslmode"], given["sslrootcert"]) == ("verify-full", "authority.pem")
    assert "sslfactory" not in given


def test_without_certificates_a_server_is_verified_by_those_that_java_trusts() -> None:
    given = settings(jdbc_options(SHOP, Connecting(), ""))
    assert given["sslmode"] == "verify-full"
    assert given["sslfactory"] == "org.postgresql.ssl.DefaultJavaSSLFactory"


def test_tls_is_off_only_where_it_is_declared_so() -> None:
    assert settings(jdbc_options(SHOP, Connecting(verified=False), ""))["sslmode"] == "disable"


def test_a_url_has_neither_user_nor_password_and_no_setting_from_a_name() -> None:
    odd = Credentials("postgres", "fd00::1", 5432, "reader", "hidden", "shop?sslmode=disable&a/b")
    options = jdbc_options(odd, Connecting(statement_timeout=timedelta(seconds=5)), "")
    assert options["url"].startswith("jdbc:postgresql://[fd00::1]:5432/shop%3Fsslmode%3Ddisable%26a%2Fb?")
    assert settings(options)["sslmode"] == "verify-full"
    assert settings(options)["options"] == "-c statement_timeout=5000"
    assert "hidden" not in options["url"] and "reader" not in options["url"]


def asked(server: Credentials, authority: str, home: Path) -> dict[str, str]:
    """What executors see, with Spark's folders below ``home``."""
    package = find_spec("pyspark")
    assert package is not None and package.origin is not None
    home.mkdir()
    for each in Path(package.origin).parent.iterdir():
        (home / each.name).symlink_to(each)
    given = {"jar": jdbc_jar(), "authority": authority, "credentials": asdict(server)}
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_SCALA_VERSION": "2.13"}
    command = [sys.executable, "-m", "adplatform_tests.jobs.jdbc_reader"]
    said = subprocess.run(
        command, input=json.dumps(given), env=environment, capture_output=True, text=True, check=True, timeout=180
    )
    found: dict[str, str] = json.loads(said.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "known", "refused"),
    [
        ("127.0.0.1", True, ""),
        ("127.0.0.1", False, "unable to find valid certification path"),
        ("192.0.2.1", True, "could not be verified by hostnameverifier"),
    ],
)
def test_executors_reach_only_a_server_whose_certificate_is_of_the_authority_and_for_the_host(
    tmp_path: Path, address: str, known: bool, refused: str
) -> None:
    with secured_server(address) as secured:
        server = secured.server
        credentials = Credentials("postgres", "127.0.0.1", server.port, "postgres", server.password, "postgres")
        found = asked(credentials, secured.authority if known else "", tmp_path / "spark")
    if refused:
        assert refused in found["refused"]
        return
    assert found["ssl"] == "true"
    assert found["folder"] != found["here"]
