"""Calls to Amazon's APIs: paced, authorised, classified, and tried again for as long as that can help."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from tenacity import RetryCallState, RetryError, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from adplatform.amazon.answers import Answer, Meaning, meaning
from adplatform.amazon.reports import Document
from adplatform.amazon.tokens import Tokens
from adplatform.failures import TransientFailure
from adplatform.ledger.rate_limits import RateLimits

log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(60, connect=10)
FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0
"""Seconds; waits between are drawn at random below a doubling bound."""
PATIENCE = timedelta(minutes=3)
"""How long one call may go on trying; then its caller writes the failure down and comes back later."""
CHUNK = 1 << 20
_WHERE_EXPIRED = ("expired", "ExpiredToken", "AccessDenied")


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


@dataclass(frozen=True)
class AmazonHttp:
    """An HTTP client for one account. ``authorise`` turns a token into the headers of the API."""

    http: httpx.Client
    base: str
    tokens: Tokens
    authorise: Callable[[str], Mapping[str, str]]
    limits: RateLimits
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    patience: timedelta = PATIENCE

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
        refused: list[str] = []

        def attempt() -> Call:
            self._wait_turn(name, limit)
            token = self.tokens.get(refused[-1] if refused else "")
            sent = {**self.authorise(token), **(headers or {})}
            try:
                answer = self.http.request(method, self.base + path, headers=sent, json=json, params=params)
            except httpx.HTTPError as e:
                return Call(Meaning(Answer.TRANSIENT, f"no answer ({type(e).__name__})"))
            found = meaning(answer.status_code, answer.headers, answer.content, self.now())
            log.debug("%s %s: %s %s", operation, bucket, answer.status_code, found.text)
            if found.answer is Answer.UNAUTHORIZED:
                if refused:
                    return Call(Meaning(Answer.FORBIDDEN, found.text))
                refused.append(token)
            if found.answer is Answer.THROTTLED:
                rest = min(found.retry_after or FIRST_WAIT, LONGEST_WAIT)
                self.limits.pause(name, self.now() + timedelta(seconds=rest), limit.rate, limit.burst)
            return Call(found, _json(answer) if found.answer is Answer.OK else None, answer.headers)

        return self._until_settled(operation, attempt)

    def _until_settled(self, operation: str, attempt: Callable[[], Call]) -> Call:
        again = (Answer.THROTTLED, Answer.TRANSIENT, Answer.UNAUTHORIZED)
        drawn = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            last: Call = state.outcome.result() if state.outcome else Call(Meaning(Answer.OK))
            if last.meaning.answer is Answer.UNAUTHORIZED:
                return 0.0
            return min(last.meaning.retry_after or 0.0, LONGEST_WAIT) or drawn(state)

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

    def _wait_turn(self, name: str, limit: Limit) -> None:
        until = self.now() + self.patience
        while wait := self.limits.take(name, limit.rate, limit.burst):
            if self.now() + timedelta(seconds=wait) > until:
                raise TransientFailure(f"{name.rpartition('/')[2]} may be called again in {wait:.0f} s")
            self.sleep(wait)

    def download(self, url: str, target: Path, expected: int | None) -> Document | None:
        """Stream a pre-signed URL to a file, byte for byte; None when the URL has expired. It gets no header of the
        API: storage refuses a request that is signed twice.

        Raises:
            TransientFailure: the connection broke, or fewer or more bytes came than were announced.
        """
        digest, size = sha256(), 0
        try:
            with self.http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
                if answer.status_code in (400, 403):
                    text = answer.read()[:2000].decode("utf-8", "replace")
                    if any(word in text for word in _WHERE_EXPIRED):
                        return None
                if answer.status_code != 200:
                    raise TransientFailure(f"the report's document cannot be downloaded: HTTP {answer.status_code}")
                with target.open("wb") as out:
                    for chunk in answer.iter_raw(CHUNK):
                        out.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
        except httpx.HTTPError as e:
            # Not chained: httpx names the URL, which is a credential.
            raise TransientFailure(f"the download broke off after {size} bytes ({type(e).__name__})") from None
        announced = int(answer.headers.get("content-length") or size)
        for promised in (announced, expected):
            if promised is not None and promised != size:
                raise TransientFailure(f"{size} bytes came where {promised} were announced")
        kind, _, parameters = answer.headers.get("content-type", "").partition(";")
        charset = parameters.partition("charset=")[2].strip()
        return Document(target, size, digest.hexdigest(), charset, kind.strip())


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        return None
