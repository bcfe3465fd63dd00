"""Every AWS client of the platform comes from here, so that one endpoint URL moves all of it to the embedded AWS."""

import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adplatform.failures import PermanentFailure
from adplatform.platform.access_keys import AccessKey, key_for
from adplatform.platform.calls import record_calls
from adplatform.platform.late import Late
from adplatform.platform.loopback import is_loopback

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
else:
    boto3 = Late("boto3")
botocore: Any = Late("botocore.session")
config: Any = Late("botocore.config")
utils: Any = Late("botocore.utils")

_making_clients = threading.Lock()
LOCAL_REGION = "us-east-1"
CALL_BUDGET = timedelta(seconds=50)
"""What one call may take with all its attempts and the pauses between them, so that a lease can outlast it."""
SIDE_BUDGET = timedelta(seconds=20)
"""The same of a service without which deliveries go on: they wait for the same look at their source, which Dagster ends
after 60 seconds (``DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS``)."""
_ATTEMPTS = 3
_LONGEST_PAUSE = 20  # seconds; botocore's standard retry mode waits up to 2 ** n seconds before retry n, at most this
_CONNECT_SHARE = 0.2
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_HTTP_DATE = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Aws:
    """Where the services are. ``endpoint_url`` None means the real AWS with its usual credential chain."""

    region: str
    endpoint_url: str | None = None

    @cached_property
    def _session(self) -> Any:
        record_calls()
        return _local_session(self.region) if self.endpoint_url else _session(region_name=self.region)

    @property
    def key(self) -> AccessKey | None:
        """What requests to an endpoint of this machine are signed with; None of the real AWS."""
        return key_for(self.endpoint_url) if self.endpoint_url else None

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        """A new boto3 client whose calls end within ``budget``; thread-safe, so callers may keep it."""
        return self._made(service, _bounded(budget))

    def client_once(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        """As :meth:`client`, of one that never repeats a call by itself: for calls that do their work twice when only
        their answer is lost."""
        return self._made(service, _bounded(budget, attempts=1))

    def _made(self, service: str, config: "Config") -> Any:
        key = self.key
        given = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret} if key else {}
        config = config.merge(_unsigned_bodies()) if key else config
        with _making_clients:  # a boto3 session is for one thread at a time, its clients are for many
            return self._session.client(service, endpoint_url=self.endpoint_url, config=config, **given)


@cache
def _local_session(region: str) -> Any:
    """One for all endpoints: what a session reads of the service models costs a third of a second."""
    return _session(aws_access_key_id="none", aws_secret_access_key="none", region_name=region)  # noqa: S106


def _session(**settings: str) -> Any:
    session = botocore.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    return boto3.Session(botocore_session=session, **settings)


def _time(value: Any) -> datetime:
    """A time as AWS writes it. botocore has its form guessed, which takes 73 ms of a listing of 1,000
    objects; what has neither of the usual forms is left to it."""
    if isinstance(value, str) and _ISO_TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    if isinstance(value, str) and (found := _HTTP_DATE.fullmatch(value)) and found[2] in _MONTHS:
        day, hour, minute, second = (int(found[n]) for n in (1, 4, 5, 6))
        return datetime(int(found[3]), _MONTHS.index(found[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    read: datetime = utils.parse_timestamp(value)
    return read


def longest_call(client: Any) -> timedelta:
    """What one call of a boto3 client may take until it has ended or will never reach the service any more.

    An answer that trickles in takes longer, but then the service has dealt with the call.
    """
    config = client.meta.config
    attempts = int((config.retries or {}).get("total_max_attempts", _ATTEMPTS))
    return timedelta(seconds=attempts * (config.connect_timeout + config.read_timeout) + _pauses(attempts))


def _bounded(budget: timedelta, attempts: int = _ATTEMPTS) -> "Config":
    """Time-outs and attempts that use up ``budget`` when nobody answers."""
    attempt = (budget.total_seconds() - _pauses(attempts)) / attempts
    if attempt <= 0:
        raise ValueError(f"{budget} is too short for {attempts} attempts with their pauses")
    connect = attempt * _CONNECT_SHARE
    return config.Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=connect,
        read_timeout=attempt - connect,
        # botocore composes its own anew, twice a call, which is a tenth of what a call costs.
        user_agent=f"adplatform boto3/{boto3.__version__}",
    )


@cache
def _unsigned_bodies() -> "Config":
    """Over HTTP botocore hashes what is uploaded once more, for the signature; over HTTPS it does not."""
    return config.Config(s3={"payload_signing_enabled": False})


def _pauses(attempts: int) -> float:
    return float(sum(min(2**n, _LONGEST_PAUSE) for n in range(attempts - 1)))


def local_region() -> str:
    """The region of the embedded AWS, whose services keep regions apart."""
    return os.environ.get("AWS_REGION", LOCAL_REGION)


def local_aws(endpoint_url: str) -> Aws:
    """The embedded AWS at ``endpoint_url``.

    Raises:
        PermanentFailure: the host is not a loopback address, so data meant for a laptop could leave it.
    """
    host = urlsplit(endpoint_url).hostname or ""
    if not is_loopback(host):
        raise PermanentFailure(
            f"local mode refuses endpoint {endpoint_url!r}: {host!r} is not a loopback address. "
            "Unset AWS_ENDPOINT_URL, or set ADPLATFORM_ENV=aws to use the real AWS."
        )
    return Aws(region=local_region(), endpoint_url=endpoint_url)
