"""The shop's own API, asked over HTTP, and its database, asked with what that says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg

HTTP = httpx.Client(trust_env=False, timeout=60)
"""For all tests: to make a client takes longer than most requests."""


def admin(url: str, name: str = "", body: object = None, **params: str) -> Any:
    at = f"{url}/_admin/{name}"
    answer = HTTP.get(at, params=params) if body is None else HTTP.post(at, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@contextmanager
def database(url: str) -> Iterator[Any]:
    """A connection of psycopg that commits each statement."""
    to = admin(url, "connection")
    with psycopg.connect(
        host=to["host"],
        port=to["port"],
        user=to["username"],
        password=to["password"],
        dbname=to["dbname"],
        autocommit=True,
    ) as connection:
        yield connection


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with database(url) as connection:
        return list(connection.execute(sql).fetchall())
