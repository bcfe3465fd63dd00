"""Log lines as JSON, each with what the work it belongs to is about."""

import contextvars
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

LOGGER = "adplatform"
ABOUT = ("run_id", "source", "feed", "day", "version")
"""What a line may be about; none of it is personal."""
_about: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "adplatform_about", default=MappingProxyType({})
)


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


class JsonLines(logging.Formatter):
    """One line of JSON for each record: time, level, logger, message, the facts, and of an error its class and where it
    was raised; not its text, which may quote data. Of a record that Dagster hands on (``dagster_meta``) also its job
    and step."""

    def format(self, record: logging.LogRecord) -> str:
        dagster: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        said = {name: dagster[name] for name in ("run_id", "job_name", "step_key") if dagster.get(name)}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": str(dagster.get("orig_message") or record.getMessage()),
            **said,
            **_about.get(),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, default=str)


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


def log_as_json(instead: type[logging.Handler], level: str = "INFO") -> None:
    """Have this process write what our loggers say as JSON, except while a handler of the class ``instead`` does; a
    second call changes nothing."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(each, _Ours) for each in logger.handlers):
        logger.addHandler(_Ours(instead))
        logger.setLevel(level)
        logger.propagate = False
