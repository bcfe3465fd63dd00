"""Calls to Amazon's APIs: paced, authorised, classified, and tried again for as long as that can help."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from json import loads
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_random_exponential,
)

from adplatform.amazon.answers import Answer, Meaning, meaning, without
from adplatform.amazon.reports import Document
from adplatform.amazon.tokens import Tokens
from adplatform.failures import TransientFailure
from adplatform.ledger.rate_limits import LONGEST_PAUSE, RateLimits

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0
"""Seconds; waits between are drawn at random below a doubling bound."""
PATIENCE = timedelta(minutes=3)
"""How long one call may go on trying; then its caller writes the failure down and comes back later."""
REFUSALS = 4
"""How often a token is refused, three times a fresh one, until that is believed: gateways have refused good ones."""
LONGEST_SILENCE, LONGEST_CONNECT = 60.0, 10.0
"""Seconds without a byte of an answer, and without a connection, after which a call has failed."""
LONGEST_ANSWER = timedelta(minutes=2)
"""For how long an answer may trickle in; the timeout of the client is for each piece of it."""
SLOWEST, SLOW_START = 16 << 10, timedelta(minutes=1)
"""Bytes per second that a download must have come to on average, once it has lasted this long."""
_NO_ACCESS = "fresh tokens are refused too; has the application access to this API, and is the secret that of this one?"
_ANNOUNCED_RATE = "x-amzn-ratelimit-limit"
_WHERE_EXPIRED = ("expired", "ExpiredToken", "AccessDenied")
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_ADDRESS = re.compile(r"(https?://[^/?\s\"']+)[^\s\"']*")


@dataclass(frozen=True)
class Limit:
    """The pace of an operation: ``rate`` calls per second after a burst."""

    rate: float
    burst: int


@dataclass(frozen=True)
class Call:
    """An answer and what it means."""

    meaning: Meaning
    body: Any = None
    headers: Mapping[str, str] | None = None


class _Received(NamedTuple):
    """A whole answer; names of headers in any case."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True)
class AmazonHttp:
    """An HTTP client for one account. ``authorise`` turns a token into the headers of the API.

    From the first one on, what httpx logs in this process names hosts, and no more of an address.
    """

    http: httpx.Client
    base: str
    tokens: Tokens
    authorise: Callable[[str], Mapping[str, str]]
    limits: RateLimits
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    patience: timedelta = PATIENCE

    def __post_init__(self) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_without_addresses)

    def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        limit: Limit,
        bucket: str,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Call:
        """One operation, in the pace of its bucket, again where it was throttled or failed for now.

        Raises:
            PermanentFailure: the credentials do not work.
            TransientFailure: it failed for now for longer than the patience.
        """
        name = f"{sha256(self.tokens.client_id.encode()).hexdigest()[:16]}/{bucket}/{operation}"
        until = self.now() + self.patience
        refused: list[str] = []

        def attempt() -> Call:
            self._wait_turn(name, limit, until)
            token = self._token(refused[0] if refused else "", until)
            sent = {**self.authorise(token), **(headers or {})}
            try:
                answer = self._received(method, self.base + path, headers=sent, json=json, params=params)
            except httpx.HTTPError as e:
                return Call(Meaning(Answer.TRANSIENT, f"no answer ({type(e).__name__})"))
            found = meaning(answer.status, answer.headers, answer.content, self.now())
            found = replace(found, text=without(found.text, token))
            log.debug("%s %s: %s %s", operation, bucket, answer.status, found.text)
            if announced := answer.headers.get(_ANNOUNCED_RATE):
                self.limits.learn(name, announced)
            if found.answer is Answer.UNAUTHORIZED:
                refused.append(token)
                if len(refused) == REFUSALS:
                    return Call(Meaning(Answer.FORBIDDEN, f"{found.text}: {_NO_ACCESS}"))
                if len(refused) > 1:
                    return Call(Meaning(Answer.TRANSIENT, found.text))
            if found.answer is Answer.THROTTLED:
                rest = min(found.retry_after or FIRST_WAIT, LONGEST_PAUSE.total_seconds())
                self.limits.pause(name, self.now() + timedelta(seconds=rest), limit.rate, limit.burst)
            whole = found.answer is Answer.OK and answer.content.strip()
            return Call(found, loads(answer.content) if whole else None, answer.headers)

        return self._until_settled(operation, attempt)

    def _received(self, method: str, url: str, **sent: Any) -> _Received:
        """The whole answer; ``httpx.ReadTimeout`` when it trickles in for too long."""
        parts, latest = [], self.now() + min(LONGEST_ANSWER, self.patience)
        with self.http.stream(method, url, follow_redirects=False, **sent) as answer:
            for part in answer.iter_bytes():
                parts.append(part)
                if self.now() > latest:
                    raise httpx.ReadTimeout("the answer trickles in")
        return _Received(answer.status_code, answer.headers, b"".join(parts))

    def _until_settled(self, operation: str, attempt: Callable[[], Call]) -> Call:
        again = (Answer.THROTTLED, Answer.TRANSIENT, Answer.UNAUTHORIZED)
        drawn = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            last: Call = state.outcome.result() if state.outcome else Call(Meaning(Answer.OK))
            if last.meaning.answer is Answer.UNAUTHORIZED:
                return 0.0
            return min(last.meaning.retry_after or 0.0, LONGEST_PAUSE.total_seconds()) or drawn(state)

        began = self.now()
        try:
            return Retrying(
                retry=retry_if_result(lambda call: call.meaning.answer in again),
                stop=lambda state: (
                    self.now() - began + timedelta(seconds=state.upcoming_sleep) > self.patience
                    or stop_after_delay(self.patience)(state)
                ),
                wait=wait,
                sleep=self.sleep,
            )(attempt)
        except RetryError as e:
            last: Call = e.last_attempt.result()
            text = f"{operation} failed for now: {last.meaning.answer}: {last.meaning.text}"
            raise TransientFailure(text.rstrip(": ")) from None

    def _wait_turn(self, name: str, limit: Limit, until: datetime) -> None:
        while wait := self.limits.take(name, limit.rate, limit.burst):
            if self.now() + timedelta(seconds=wait) > until:
                raise TransientFailure(f"{name.rpartition('/')[2]} may be called again in {wait:.0f} s")
            self.sleep(wait)

    def _token(self, refused: str, until: datetime) -> str:
        return Retrying(
            retry=retry_if_exception_type(TransientFailure),
            stop=lambda state: (
                self.now() + timedelta(seconds=state.upcoming_sleep) > until or stop_after_delay(self.patience)(state)
            ),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self.sleep,
            reraise=True,
        )(self.tokens.get, refused)

    def download(self, url: str, target: Path, expected: int | None) -> Document | None:
        """Stream a pre-signed URL to a file, byte for byte; None when the URL has expired. It gets no header of the
        API: storage refuses a request that is signed twice, and may redirect one.

        Raises:
            TransientFailure: the connection broke or trickles, fewer or more bytes came than were announced, or a web
                page in the place of a document.
        """
        digest, size, began = sha256(), 0, self.now()
        plainly = {"Accept-Encoding": "identity"}
        try:
            with self.http.stream("GET", url, headers=plainly, follow_redirects=True) as answer:
                if answer.status_code in (400, 403):
                    text = answer.read()[:2000].decode("utf-8", "replace")
                    if any(word in text for word in _WHERE_EXPIRED):
                        return None
                if answer.status_code != 200:
                    raise TransientFailure(f"the report's document cannot be downloaded: HTTP {answer.status_code}")
                kind = answer.headers.get("content-type", "").partition(";")[0].strip()
                if kind.lower() == "text/html":
                    raise TransientFailure("a web page came in the place of the report's document")
                with target.open("wb") as out:
                    for chunk in answer.iter_raw():
                        out.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        if expected is not None and size > expected:
                            break
                        lasted = self.now() - began
                        if lasted > SLOW_START and size < SLOWEST * lasted.total_seconds():
                            raise TransientFailure(f"the download trickles: {size} bytes in {lasted}")
        except httpx.InvalidURL:
            raise TransientFailure("the address of the report's document is none") from None
        except httpx.HTTPError as e:
            # Not chained: httpx names the URL, which is a credential.
            raise TransientFailure(f"the download broke off after {size} bytes ({type(e).__name__})") from None
        if expected is not None and size != expected:
            came = f"{size} bytes" if size < expected else f"more than {expected} bytes"
            raise TransientFailure(f"{came} came where {expected} were announced")
        return Document(target, size, digest.hexdigest(), answer.charset_encoding or "", kind)


def timeout(patience: timedelta) -> httpx.Timeout:
    """For how long one answer is waited for by a caller of that patience."""
    seconds = patience.total_seconds()
    return httpx.Timeout(min(LONGEST_SILENCE, seconds), connect=min(LONGEST_CONNECT, seconds))


def _without_addresses(record: logging.LogRecord) -> bool:
    """A log filter that keeps of each address only its host: a signed one is a credential."""
    record.msg, record.args = without(_ADDRESS.sub(r"\1/...", record.getMessage())), ()
    return True
