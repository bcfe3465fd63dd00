"""Traces of work as OpenTelemetry knows them: spans are taken down as plain values, and sent beside the work.

What a trace and its outermost span are called follows from a ``key``, so that processes which share no memory make one
trace, and one trace can refer to another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from hashlib import sha256
from typing import Any

from adplatform.platform.beside import Beside
from adplatform.platform.extras import TRACES, extra
from adplatform.platform.late import Late

_exporter = Late("opentelemetry.exporter.otlp.proto.http.trace_exporter")
_sdk = Late("opentelemetry.sdk.trace")
_resources = Late("opentelemetry.sdk.resources")
_api = Late("opentelemetry.trace")
_scopes = Late("opentelemetry.sdk.util.instrumentation")

SENDER = Beside("OpenTelemetry")
_SERVICE = "adplatform"


@dataclass(frozen=True)
class Span:
    """``place`` tells spans of one trace apart, "" is the outermost; ``error`` is the class of the failure that ended
    it, "" where none did. ``links`` are keys of other traces. No value of ``facts`` is personal."""

    name: str
    place: str
    began: datetime
    ended: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    links: tuple[str, ...] = ()


@dataclass
class Trace:
    """What a process takes down of one trace. Without a ``key`` nothing of it is sent."""

    now: Callable[[], datetime]
    key: str = ""
    spans: list[Span] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    whole: Span | None = None
    places: int = 0


_present: ContextVar[Trace | None] = ContextVar("adplatform_trace", default=None)


@contextmanager
def tracing(on: bool, now: Callable[[], datetime]) -> Iterator[None]:
    """Where it is ``on``, spans within belong to one trace: those of this thread and of others that it has work
    (``platform.at_once``). They are sent when it ends."""
    before, trace = _present.get(), Trace(now)
    if not on:
        yield
        return
    _present.set(trace)
    try:
        yield
    finally:
        _present.set(before)
        whole = [replace(trace.whole, ended=now(), links=tuple(dict.fromkeys(trace.links)))] if trace.whole else []
        send(trace.key, [*whole, *trace.spans])


@contextmanager
def span(name: str) -> Iterator[None]:
    """A part of the present trace; nothing where there is none."""
    trace = _present.get()
    if trace is None:
        yield
        return
    trace.places += 1
    number, began, error = trace.places, trace.now(), ""
    try:
        yield
    except Exception as e:
        error = type(e).__name__
        raise
    finally:
        place = f"{name}/{number}/{began.isoformat()}"
        trace.spans.append(Span(name, place, began, trace.now(), {}, error))


def called(key: str) -> None:
    """The present trace, if there is one, is that of ``key``."""
    if (trace := _present.get()) is not None:
        trace.key = key


def linked(key: str) -> None:
    """The present trace, if there is one, has used what the trace of ``key`` brought."""
    if (trace := _present.get()) is not None:
        trace.links.append(key)


def outermost(name: str, began: datetime, error: str = "", **facts: Any) -> None:
    """The work is about to end of which the spans of the present trace are parts, if there is one."""
    if (trace := _present.get()) is not None:
        trace.whole = Span(name, "", began, began, facts, error)


def send(key: str, spans: Sequence[Span]) -> None:
    if key and spans:
        SENDER.give(partial(_export, key, tuple(spans)))


def trace_id(key: str) -> int:
    return int.from_bytes(sha256(key.encode()).digest()[:16], "big") or 1


def span_id(key: str, place: str = "") -> int:
    return int.from_bytes(sha256(f"{key}#{place}".encode()).digest()[:8], "big") or 1


def _export(key: str, spans: Sequence[Span]) -> None:
    with extra(TRACES):
        resource, exporter = collector()
        done = exporter.export([_read(key, each, resource) for each in spans])
    if done.name != "SUCCESS":
        raise ConnectionError("the collector did not take them")


@cache
def collector() -> tuple[Any, Any]:
    """What spans are of, and what sends them, one for the process: where the collector is, and how it is spoken to, is
    said by OpenTelemetry's own variables."""
    resource = _resources.Resource({"service.name": _SERVICE}).merge(_resources.OTELResourceDetector().detect())
    return resource, _exporter.OTLPSpanExporter()


def _read(key: str, each: Span, resource: Any) -> Any:
    status = _api.Status(_api.StatusCode.ERROR, each.error) if each.error else _api.Status(_api.StatusCode.OK)
    return _sdk.ReadableSpan(
        name=each.name,
        context=_context(key, each.place),
        parent=_context(key) if each.place else None,
        resource=resource,
        attributes={f"adplatform.{name}": value for name, value in each.facts.items()},
        links=[_api.Link(_context(other)) for other in each.links],
        kind=_api.SpanKind.INTERNAL,
        status=status,
        start_time=_nanoseconds(each.began),
        end_time=max(_nanoseconds(each.began), _nanoseconds(each.ended)),
        instrumentation_scope=_scopes.InstrumentationScope(_SERVICE),
    )


def _context(key: str, place: str = "") -> Any:
    sampled = _api.TraceFlags(_api.TraceFlags.SAMPLED)
    return _api.SpanContext(trace_id(key), span_id(key, place), is_remote=False, trace_flags=sampled)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
