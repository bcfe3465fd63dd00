"""A feed: one dataset of a source, with its contract, its landing layout and its arrival rule."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from adplatform.contracts.model import Contract, Strict

NAME = r"^[a-z][a-z0-9_]{0,62}$"
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_SECONDS = 10_000 * 86_400


def parse_duration(value: Any) -> Any:
    """``"30s"``, ``"15m"``, ``"2h"`` or ``"3d"`` to a timedelta; a timedelta and None stay what they are.

    Raises:
        ValueError: anything else, also a bare number, whose unit nobody can see, and more than 10,000 days.
    """
    if value is None or isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration: write 30s, 15m, 2h or 3d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > MAX_SECONDS:
        raise ValueError(f"{value!r} is too long for a duration")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str)]


class Arrival(Strict):
    """When a delivery is complete.

    ``manifest`` waits for the files a manifest lists, ``done_file`` for a marker, ``count`` for ``expected_files``;
    ``quiet`` for no new object during ``quiet_period``. The first three settle at once when met. ``max_wait`` after the
    first object settles a quiet-period feed that never falls quiet.
    """

    complete_when: Literal["quiet", "count", "done_file", "manifest"] = "quiet"
    quiet_period: Duration = timedelta(minutes=5)
    max_wait: Duration = timedelta(hours=2)
    expected_files: int | None = Field(default=None, ge=1)
    done_file: str = "_SUCCESS"
    manifest: str = "manifest.json"
    deadline: Duration | None = None
    """How long after the end of the delivery date (UTC) the delivery must be there; later is a failed check."""
    accept_late: Duration | None = None
    """How long after the end of its date (UTC) an object of the delivery may still be written, by the object's own
    LastModified; None accepts any age."""
    accept_early: Duration | None = timedelta(days=2)
    """How long before the begin of its date (UTC) an object may be written, by the same measure; None accepts any."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.complete_when == "count" and self.expected_files is None:
            raise ValueError("complete_when: count needs expected_files")
        return self


class Pgp(Strict):
    """How a sender encrypts. Keys are named here and fetched from Secrets Manager when a run needs them.

    Several ``private_keys`` may be live at once while a sender moves to a new one. The sender's public keys come from
    the ``signer_keys`` secrets; ``signers`` are the full fingerprints (40 hexadecimal digits) that may sign, by default
    those of exactly these keys.
    """

    private_keys: tuple[str, ...] = Field(min_length=1)
    signers: tuple[Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")], ...] = ()
    signer_keys: tuple[str, ...] = ()
    allow_unsigned: bool = False

    @model_validator(mode="after")
    def _someone_signs(self) -> Self:
        if not self.signer_keys and (self.signers or not self.allow_unsigned):
            raise ValueError("signer_keys names no secret with the sender's public key; or set allow_unsigned: true")
        return self


class Feed(Contract):
    """One dataset of a source: its contract, and how and when its files arrive.

    ``landing`` is the layout below the source's own prefix, of ``{feed}``, ``{date}`` (or ``{date:%Y%m%d}``),
    ``{file}`` and ``*``. ``schedule`` is a cron line (UTC) for a feed that is processed at set times, not at once.
    """

    name: Annotated[str, Field(pattern=NAME)]
    description: str = Field(default="", max_length=2048)
    """The table's too, of which Glue takes 2,048 characters (Glue web API, DescriptionString)."""
    start_date: date
    landing: str = "{feed}/dt={date}/{file}"
    arrival: Arrival = Arrival()
    schedule: str | None = None
    fresh_within: Duration | None = timedelta(hours=36)
    """The table counts as stale when nothing was published for this long."""
    pgp: Pgp | None = None
    bad_file: Literal["refuse", "quarantine"] = "refuse"
    """A file that is damaged, unreadable or breaks the layout: refuse the delivery, or go on without the file."""

    @property
    def contract(self) -> Contract:
        return Contract.model_construct(**{name: getattr(self, name) for name in Contract.model_fields})
