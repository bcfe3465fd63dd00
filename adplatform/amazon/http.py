"""Calls to Amazon's APIs: paced, authorised, classified, and tried again for as long as that can help."""

import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
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

from adplatform.amazon.answers import AnswerKind, Meaning, meaning, without
from adplatform.amazon.reports import Created, Document
from adplatform.amazon.tokens import TOKEN_URL, Tokens
from adplatform.failures import AccessRefused, CredentialsRefused, NotOffered, PermanentFailure, TransientFailure
from adplatform.ledger.ledger import Ledger
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
_FAILURES = {AnswerKind.FORBIDDEN: AccessRefused, AnswerKind.NOT_OFFERED: NotOffered}
_ANNOUNCED_RATE = "x-amzn-ratelimit-limit"
_ADDRESSES = 3
"""How many addresses of one document are tried: each lives for minutes, and may have expired when it is used."""
_WHERE_EXPIRED = ("expired", "ExpiredToken", "AccessDenied")
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_ADDRESS = re.compile(r"(https?://[^/?\s\"']+)[^\s\"']*")


Counted = Callable[[str, bool], None]
"""Is told of a request: the operation, and whether it came too often."""


def uncounted(_operation: str, _throttled: bool) -> None:
    """For nobody's metrics."""


@dataclass(frozen=True)
class Limit:
    """The pace of an operation: ``rate`` calls per second after a burst."""

    rate: float
    burst: int


class TurnIsLater(TransientFailure):
    """The pace of an operation allows no call before ``wait`` is over. Amazon was not asked."""

    def __init__(self, text: str, wait: timedelta) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """The answer to an operation: what it means, and its JSON where it was accepted (None for an empty body)."""

    operation: str
    meaning: Meaning
    body: Any = None

    def require(self, what: str) -> None:
        """Check that Amazon accepted. ``what`` begins the failure's text.

        Raises:
            AccessRefused: it is forbidden.
            NotOffered: Amazon does not make it there.
            PermanentFailure: it was refused for another reason.
        """
        said = self.meaning
        if said.kind is not AnswerKind.OK:
            text = f"{what}: {said.kind}: {said.text}".rstrip(": ")
            raise _FAILURES.get(said.kind, PermanentFailure)(f"{text} ({said.advice})" if said.advice else text)

    def members(self) -> Mapping[str, Any]:
        """The JSON object that was answered; an empty one for any other body, so that the caller misses a member."""
        return self.body if isinstance(self.body, dict) else {}

    def items(self, name: str) -> list[Mapping[str, Any]]:
        """The JSON objects in the list ``name`` of the body; none where the list is left out or null.

        Raises:
            TransientFailure: the body is no object, or this no list of objects.
        """
        if isinstance(self.body, dict):
            listed = self.body.get(name) or []
            if isinstance(listed, list) and all(isinstance(each, dict) for each in listed):
                return listed
        raise TransientFailure(f"Amazon's answer to {self.operation} has no list of {name}")


def plain_text(members: Mapping[str, Any], name: str) -> str:
    """An id, an address or a token in a JSON object: printable ASCII; "" for what no request can hold."""
    value = members.get(name)
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isascii() and text.isprintable() else ""


def created(members: Mapping[str, Any], kind: str = "report") -> Created:
    """What Amazon has made of an order, a report or an export, by the id that its answer names.

    Raises:
        TransientFailure: it names none.
    """
    made = plain_text(members, f"{kind}Id")
    if not made:
        raise TransientFailure(f"Amazon took the order but named no {kind}")
    return Created(made)


class Address(NamedTuple):
    """Where a document can be downloaded for a while, and its size in bytes where Amazon announced it."""

    url: str
    size: int | None = None


class _Received(NamedTuple):
    """A whole answer; names of headers in any case."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True)
class AmazonHttp:
    """An HTTP client for one account. ``authorise`` turns a token and the client's id into the headers of the API.
    ``counted`` is told of each request for an operation.

    From the first one on, what httpx logs in this process names hosts, and no more of an address.
    """

    http: httpx.Client
    base: str
    tokens: Tokens
    authorise: Callable[[str, str], Mapping[str, str]]
    limits: RateLimits
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    patience: timedelta = PATIENCE
    counted: Counted = uncounted

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
        repeatable: bool = True,
        turn_within: timedelta | None = None,
    ) -> Answer:
        """One operation, in the pace of its bucket, again where it was throttled or failed for now. One that is not
        ``repeatable`` fails for now when its answer is lost: Amazon may have done what was asked.

        Raises:
            PermanentFailure: the credentials do not work.
            TurnIsLater: the pace allows no call within ``turn_within``, or the patience.
            TransientFailure: it failed for now for longer than the patience.
        """
        client_id = self.tokens.client_id
        name = f"{sha256(client_id.encode()).hexdigest()[:16]}/{bucket}/{operation}"
        until = self.now() + self.patience
        refused: list[str] = []

        def attempt() -> Answer:
            self._wait_turn(name, limit, until if turn_within is None else min(until, self.now() + turn_within))
            token = self._token(refused[0] if refused else "", until)
            sent = {**self.authorise(token, client_id), **(headers or {})}
            try:
                answer = self._received(method, self.base + path, headers=sent, json=json, params=params)
            except httpx.HTTPError as e:
                self.counted(operation, False)
                return Answer(operation, Meaning(AnswerKind.TRANSIENT, f"no answer ({type(e).__name__})"))
            found = meaning(answer.status, answer.headers, answer.content, self.now())
            found = replace(found, text=without(found.text, token))
            self.counted(operation, found.kind is AnswerKind.THROTTLED)
            log.debug("%s %s: %s %s", operation, bucket, answer.status, found.text)
            if announced := answer.headers.get(_ANNOUNCED_RATE):
                self.limits.learn(name, announced)
            if found.kind is AnswerKind.SECRET_EXPIRED:
                return self._with_secret_anew(operation, found, refused, token)
            if found.kind is AnswerKind.UNAUTHORIZED:
                refused.append(token)
                if len(refused) == REFUSALS:
                    return Answer(operation, Meaning(AnswerKind.FORBIDDEN, f"{found.text}: {_NO_ACCESS}"))
                if len(refused) > 1:
                    return Answer(operation, Meaning(AnswerKind.TRANSIENT, found.text))
            if found.kind is AnswerKind.THROTTLED:
                rest = min(found.retry_after or FIRST_WAIT, LONGEST_PAUSE.total_seconds())
                self.limits.pause(name, self.now() + timedelta(seconds=rest), limit.rate, limit.burst)
            reported = found.kind is AnswerKind.OK and answer.content.strip()
            return Answer(operation, found, loads(answer.content) if reported else None)

        def once() -> Answer:
            made = attempt()
            if made.meaning.kind is AnswerKind.TRANSIENT:
                raise TransientFailure(f"{operation} may have been accepted: {made.meaning.text}".rstrip(": "))
            return made

        return self._until_settled(attempt if repeatable else once, until)

    def _with_secret_anew(self, operation: str, found: Meaning, refused: list[str], token: str) -> Answer:
        """Once more by the secret as it is stored now: somebody may have replaced it since.

        Raises:
            CredentialsRefused: that was tried.
        """
        if refused:
            raise CredentialsRefused(f"Amazon refuses secret {self.tokens.secret}: {found.text}: {found.advice}")
        refused.append(token)
        return Answer(operation, replace(found, kind=AnswerKind.UNAUTHORIZED))

    def _received(self, method: str, url: str, **sent: Any) -> _Received:
        """The whole answer; ``httpx.ReadTimeout`` when it trickles in for too long."""
        parts, latest = [], self.now() + min(LONGEST_ANSWER, self.patience)
        with self.http.stream(method, url, follow_redirects=False, **sent) as answer:
            for part in answer.iter_bytes():
                parts.append(part)
                if self.now() > latest:
                    raise httpx.ReadTimeout("the answer trickles in")
        return _Received(answer.status_code, answer.headers, b"".join(parts))

    def _until_settled(self, attempt: Callable[[], Answer], until: datetime) -> Answer:
        again = (AnswerKind.THROTTLED, AnswerKind.TRANSIENT, AnswerKind.UNAUTHORIZED)
        drawn = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            last = state.outcome.result().meaning if state.outcome else Meaning(AnswerKind.OK)
            if last.kind is AnswerKind.UNAUTHORIZED:
                return 0.0
            return min(last.retry_after or 0.0, LONGEST_PAUSE.total_seconds()) or drawn(state)

        try:
            return Retrying(
                retry=retry_if_result(lambda answer: answer.meaning.kind in again),
                stop=self._out_of_patience(until),
                wait=wait,
                sleep=self.sleep,
            )(attempt)
        except RetryError as e:
            last: Answer = e.last_attempt.result()
            text = f"{last.operation} failed for now: {last.meaning.kind}: {last.meaning.text}"
            raise TransientFailure(text.rstrip(": ")) from None

    def _wait_turn(self, name: str, limit: Limit, until: datetime) -> None:
        while wait := self.limits.take(name, limit.rate, limit.burst):
            if self.now() + timedelta(seconds=wait) > until:
                text = f"{name.rpartition('/')[2]} may be called again in {wait:.0f} s"
                raise TurnIsLater(text, timedelta(seconds=wait))
            self.sleep(wait)

    def _token(self, refused: str, until: datetime) -> str:
        return Retrying(
            retry=retry_if_exception_type(TransientFailure),
            stop=self._out_of_patience(until),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self.sleep,
            reraise=True,
        )(self.tokens.get, refused)

    def _out_of_patience(self, until: datetime) -> Callable[[RetryCallState], bool]:
        """By our clock, which may be set back meanwhile, or by the machine's, which only counts up."""
        counted = stop_after_delay(self.patience)
        return lambda state: self.now() + timedelta(seconds=state.upcoming_sleep) > until or counted(state)

    def download(self, address: Callable[[], Address | None], target: Path, what: str) -> Document | None:
        """Stream a document to a file, byte for byte. ``address`` asks Amazon where it is, again each time that an
        address has expired; None when Amazon has no address of it.

        Raises:
            TransientFailure: it cannot be had now, or not all of it came; ``what`` is the document in the text.
        """
        for _ in range(_ADDRESSES):
            reported = address()
            if reported is None:
                return None
            document = self._streamed(reported.url, target, reported.size)
            if document is not None:
                return document
        raise TransientFailure(f"the address of {what} expired {_ADDRESSES} times")

    def _streamed(self, url: str, target: Path, expected: int | None) -> Document | None:
        """The file of a pre-signed URL; None when the URL has expired. The request has no header of the API: storage
        refuses a request that is signed twice, and may redirect one.

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
        return Document(target, size, digest.hexdigest(), answer.charset_encoding or "")


def open_http(
    secrets: Any,
    secret: str,
    host: str,
    ledger: Ledger,
    directory: Path,
    *,
    authorise: Callable[[str, str], Mapping[str, str]],
    sleep: Callable[[float], None],
    endpoint: str | None,
    patience: timedelta,
    headers: Mapping[str, str] | None = None,
    counted: Counted = uncounted,
) -> AmazonHttp:
    """A client for the account whose credentials are in ``secret``. ``endpoint`` is a simulated Amazon in place of
    ``host``; ``directory`` is where tokens are shared; ``headers`` go with every request."""
    # A proxy of the environment is no way to a simulated Amazon, which is on this machine.
    trust_env = endpoint is None
    http = httpx.Client(
        verify=_trusted(trust_env=trust_env),
        trust_env=trust_env,
        timeout=timeout(patience),
        follow_redirects=False,
        headers=headers,
    )
    token_url = f"{endpoint}/auth/o2/token" if endpoint else TOKEN_URL
    tokens = Tokens(http, token_url, secrets, secret, directory, ledger.now)
    limits = RateLimits(ledger)
    return AmazonHttp(http, endpoint or host, tokens, authorise, limits, sleep, ledger.now, patience, counted)


@cache
def _trusted(*, trust_env: bool) -> ssl.SSLContext:
    """The authorities are read once a process: that takes longer than all else of making a client."""
    return httpx.create_ssl_context(trust_env=trust_env)


def timeout(patience: timedelta) -> httpx.Timeout:
    """For how long one answer is waited for by a caller of that patience."""
    seconds = patience.total_seconds()
    return httpx.Timeout(min(LONGEST_SILENCE, seconds), connect=min(LONGEST_CONNECT, seconds))


def _without_addresses(record: logging.LogRecord) -> bool:
    """A log filter that keeps of each address only its host: a signed one is a credential."""
    record.msg, record.args = without(_ADDRESS.sub(r"\1/...", record.getMessage())), ()
    return True
