"""Log lines as JSON, each with what the work it belongs to is about."""

import contextvars
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

LOGGER = "adplatform"
ABOUT = ("run_id", "source", "feed", "day", "version")
"""What a line may be about; none of it is personal."""
_NOTHING: Mapping[str, str] = MappingProxyType({})
_about: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("adplatform_about", default=_NOTHING)
_OURS = re.compile(r"(adplatform|dagster)(\.|$)")
_VALUE = re.compile(r"""(["'`]).*?\1|\S*[@/\\%=]\S*|\S*\d{5}\S*""")
"""What may be a value in a text of somebody else: what is quoted, a path, an address, a long number."""


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Whatever is logged meanwhile, by this thread and by those that it has work (``platform.at_once``), is about these
    ``facts``, of :data:`ABOUT`, and those around."""
    unknown = facts.keys() - set(ABOUT)
    if unknown:
        raise ValueError(f"a line of the log is about {', '.join(ABOUT)}, not {', '.join(sorted(unknown))}")
    before = _about.get()
    _about.set({**before, **{name: str(value) for name, value in facts.items()}})
    try:
        yield
    finally:
        _about.set(before)


class _Process:
    """What this process works on, for lines of threads that are about nothing else."""

    facts: Mapping[str, str] = _NOTHING


@contextmanager
def about_this_process(**facts: object) -> Iterator[None]:
    """As :func:`about`, and what threads log meanwhile that somebody else has started, a library for example, is about
    these facts, too. One piece of work is gone about so at a time."""
    before = _Process.facts
    with about(**facts):
        _Process.facts = _about.get()
        try:
            yield
        finally:
            _Process.facts = before


class JsonLines(logging.Formatter):
    """One line of JSON for each record: time, level, logger, message, the facts, and of an error its class and where it
    was raised; not its text, which may quote data. Of a record that Dagster hands on (``dagster_meta``) also its job
    and step. Of what libraries say the values are left out: nobody knows whose they are."""

    def format(self, record: logging.LogRecord) -> str:
        dagster: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        said = {name: dagster[name] for name in ("run_id", "job_name", "step_key") if dagster.get(name)}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": str(dagster.get("orig_message") or _message(record)),
            **said,
            **(_about.get() or _Process.facts),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, default=str)


def _message(record: logging.LogRecord) -> str:
    if _OURS.match(record.name):
        return record.getMessage()
    return str(record.msg) if record.args else _VALUE.sub("***", str(record.msg))


class Stdout(logging.StreamHandler[Any]):
    """Writes JSON to what is the standard output by then: a step of Dagster's has another."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


class _Ours(Stdout):
    """The same of our own loggers, unless a handler of the class ``instead`` has the line, too."""

    def __init__(self, instead: type[logging.Handler]) -> None:
        super().__init__()
        self._instead = instead

    def filter(self, record: logging.LogRecord) -> bool:
        handled = any(isinstance(each, self._instead) for each in logging.getLogger(LOGGER).handlers)
        return not handled and bool(super().filter(record))


class _Others(Stdout):
    """The same of what libraries warn of."""


def _failed(args: threading.ExceptHookArgs) -> None:
    """Python prints the text of what ends a thread, which may quote data."""
    if args.exc_type is not SystemExit and args.exc_value is not None:
        told = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger(__name__).error("the thread %s failed", args.thread and args.thread.name, exc_info=told)


def log_as_json(instead: type[logging.Handler], level: str = "INFO") -> None:
    """Have this process write what our loggers say as JSON, except while a handler of the class ``instead`` does, and
    what libraries warn of and threads end with; a second call changes nothing."""
    root = logging.getLogger()
    if not any(isinstance(each, _Others) for each in root.handlers):
        others = _Others()
        others.setLevel(logging.WARNING)
        root.addHandler(others)
        threading.excepthook = _failed
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(each, _Ours) for each in logger.handlers):
        logger.addHandler(_Ours(instead))
        logger.setLevel(level)
        logger.propagate = False
