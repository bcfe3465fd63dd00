"""The privacy functions in a Spark session: Spark 3.5 and 4 on Glue or EMR, and Spark Connect servers such as Sail.

They are pandas functions over the same rules as on DuckDB. What Spark ships to its workers, and may log, names the key
but does not hold it: a worker finds the key in its own process or fetches it.
"""

from collections.abc import Callable
from typing import Any

from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.failures import PermanentFailure
from adplatform.privacy.keys import HashKey
from adplatform.privacy.rules import RULES, function_name, normalised, unkeyed_output
from adplatform.privacy.text import digest_in

KeyLoader = Callable[[], HashKey]
"""Fetches the key in a worker; must be picklable, such as a ``functools.partial`` of a module's function."""

_keys: dict[str, HashKey] = {}


def register(
    spark: Any,
    key: HashKey | None,
    load_key: KeyLoader | None = None,
    previous: HashKey | None = None,
    load_previous: KeyLoader | None = None,
) -> None:
    """Create the functions that ``pii_outputs`` calls, and ``adp_is_digest(v)``, in this session.

    Without a key there are no ``adp_lake_`` functions, so a query that needs one fails; the same goes for ``previous``
    and ``adp_lake_previous_``. The loaders are needed when Python workers are other processes than this one, which they
    are everywhere but with a Sail server within it.
    """
    from pyspark.sql.functions import pandas_udf  # noqa: PLC0415
    from pyspark.sql.types import BooleanType, StringType  # noqa: PLC0415

    _keys.update({each.id: each for each in (key, previous) if each})
    for (treatment, kind), rule in RULES.items():
        keyed = treatment is Treatment.LAKE
        for before, held, load in ((False, key, load_key), (True, previous, load_previous)):
            if (held is None) if keyed else before:
                continue
            batch = _batch(treatment, kind, held.id if held else "", load)
            function = _with_country(batch) if rule.takes_country else _without_country(batch)
            spark.udf.register(function_name(treatment, kind, previous=before), pandas_udf(function, StringType()))
    spark.udf.register("adp_is_digest", pandas_udf(_is_digest(), BooleanType()))


def worker_key(key_id: str, load_key: KeyLoader | None) -> HashKey:
    """The key in this worker process, fetched once.

    Raises:
        PermanentFailure: it cannot be fetched here, or it is no longer the key that the query was made for.
    """
    if key_id not in _keys:
        if load_key is None:
            raise PermanentFailure(
                f"hashing key {key_id!r} is not in this worker: register the functions with load_key"
            )
        loaded = load_key()
        if loaded.id != key_id:
            raise PermanentFailure(f"hashing key {key_id!r} was replaced by {loaded.id!r} meanwhile: run again")
        _keys[key_id] = loaded
    return _keys[key_id]


def _batch(
    treatment: Treatment, kind: PiiKind, key_id: str, load_key: KeyLoader | None
) -> Callable[[list[tuple[str | None, ...]]], list[str | None]]:
    """Rows of (value) or (value, country) to outputs, each distinct row once."""

    def batch(rows: list[tuple[str | None, ...]]) -> list[str | None]:
        distinct = set(rows)
        if treatment is Treatment.LAKE:
            key = worker_key(key_id, load_key)
            plain = {row: normalised(treatment, kind, *row) for row in distinct}
            outputs = {row: None if text is None else key.hmac(text) for row, text in plain.items()}
        else:
            outputs = {row: unkeyed_output(treatment, kind, *row) for row in distinct}
        return [outputs[row] for row in rows]

    return batch


# Spark tells pandas functions apart by their annotations, so these say pandas.Series and nothing looser.
def _without_country(batch: Callable[..., list[str | None]]) -> Callable[..., Any]:
    import pandas as pd  # noqa: PLC0415

    def function(v: pd.Series) -> pd.Series:
        return pd.Series(batch([(value,) for value in _values(v)]), dtype=object)

    return function


def _with_country(batch: Callable[..., list[str | None]]) -> Callable[..., Any]:
    import pandas as pd  # noqa: PLC0415

    def function(v: pd.Series, country: pd.Series) -> pd.Series:
        return pd.Series(batch(list(zip(_values(v), _values(country), strict=True))), dtype=object)

    return function


def _is_digest() -> Callable[..., Any]:
    import pandas as pd  # noqa: PLC0415

    def function(v: pd.Series) -> pd.Series:
        return pd.Series([value is not None and digest_in(value) is not None for value in _values(v)], dtype=bool)

    return function


def _values(column: Any) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in column]
