"""Receivers of what the platform says beside its work: OpenLineage's events, and traces by OTLP over HTTP."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adplatform.flow import openlineage
from adplatform.flow.telemetry import LINEAGE
from adplatform.platform import traces

_TEXT = {"type": "string", "minLength": 1}
_URI = {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
_UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _facet(name: str, required: str, **properties: Any) -> dict[str, Any]:
    url = {"type": "string", "pattern": rf"^https://openlineage\.io/spec/facets/[\d-]+/{name}\.json#/\$defs/{name}$"}
    return _object(f"_producer _schemaURL {required}", _producer=_URI, _schemaURL=url, **properties)


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _facets(**known: Any) -> dict[str, Any]:
    return {"type": "object", "properties": known, "additionalProperties": _object("_producer _schemaURL")}


_JOB = _object("namespace name", namespace=_TEXT, name=_TEXT)
_TRANSFORMATION = _object(
    "type", type={"enum": ["DIRECT", "INDIRECT"]}, subtype={"type": "string"}, masking={"type": "boolean"}
)
_INPUT_FIELD = _object(
    "namespace name field", namespace=_TEXT, name=_TEXT, field=_TEXT, transformations=_list(_TRANSFORMATION)
)
_COUNTED = {"rowCount": _COUNT, "size": _COUNT, "fileCount": _COUNT}
_DATASET = _facets(
    schema=_facet("SchemaDatasetFacet", "", fields=_list(_object("name", name=_TEXT, type=_TEXT))),
    columnLineage=_facet(
        "ColumnLineageDatasetFacet",
        "fields",
        fields={
            "type": "object",
            "additionalProperties": _object("inputFields", inputFields=_list(_INPUT_FIELD)),
        },
    ),
    symlinks=_facet(
        "SymlinksDatasetFacet",
        "",
        identifiers=_list(_object("namespace name type", namespace=_TEXT, name=_TEXT, type=_TEXT)),
    ),
    version=_facet("DatasetVersionDatasetFacet", "datasetVersion", datasetVersion=_TEXT),
)
RUN_EVENT = _object(
    "eventTime eventType producer schemaURL run job inputs outputs",
    eventTime=_TIME,
    eventType={"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
    producer=_URI,
    schemaURL={
        "type": "string",
        "pattern": r"^https://openlineage\.io/spec/[\d-]+/OpenLineage\.json#/\$defs/RunEvent$",
    },
    run=_object(
        "runId",
        runId=_UUID,
        facets=_facets(
            nominalTime=_facet("NominalTimeRunFacet", "nominalStartTime", nominalStartTime=_TIME, nominalEndTime=_TIME),
            parent=_facet("ParentRunFacet", "run job", run=_object("runId", runId=_UUID), job=_JOB),
            errorMessage=_facet(
                "ErrorMessageRunFacet", "message programmingLanguage", message=_TEXT, programmingLanguage=_TEXT
            ),
            tags=_facet("TagsRunFacet", "", tags=_list(_object("key value", key=_TEXT, value=_TEXT))),
        ),
    ),
    job=_JOB
    | {
        "properties": {
            **_JOB["properties"],
            "facets": _facets(
                jobType=_facet("JobTypeJobFacet", "processingType integration", processingType=_TEXT, integration=_TEXT)
            ),
        }
    },
    inputs=_list(
        _object(
            "namespace name",
            namespace=_TEXT,
            name=_TEXT,
            facets=_DATASET,
            inputFacets=_facets(inputStatistics=_facet("InputStatisticsInputDatasetFacet", "", **_COUNTED)),
        )
    ),
    outputs=_list(
        _object(
            "namespace name",
            namespace=_TEXT,
            name=_TEXT,
            facets=_DATASET,
            outputFacets=_facets(outputStatistics=_facet("OutputStatisticsOutputDatasetFacet", "", **_COUNTED)),
        )
    ),
)
"""What OpenLineage's specification (2-0-2) demands of an event of a run, of the facets that the platform writes."""


@dataclass
class Receiver:
    """``taken`` are the bodies that were accepted, in their order; ``wrong`` says why others were not. While it is
    ``open`` requests are answered, otherwise they wait."""

    judge: Callable[[bytes], Any]
    url: str = ""
    taken: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def answer(self, body: bytes) -> int:
        self.asked.set()
        self.open.wait(60)
        try:
            self.taken.append(self.judge(body))
        except ValueError as e:
            self.wrong.append(str(e))
            return 422
        return 200


@contextmanager
def receiving(judge: Callable[[bytes], Any]) -> Iterator[Receiver]:
    """A server that takes what ``judge`` makes of the body of each request; one that it refuses is a ``ValueError``."""
    receiver = Receiver(judge)
    receiver.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answer(gzip.decompress(body) if self.headers.get("Content-Encoding") else body))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Writes no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        server.server_close()
        thread.join()


def run_event(body: bytes) -> Any:
    """An event of a run as OpenLineage's specification has it.

    Raises:
        ValueError: it is none.
    """
    event = json.loads(body)
    errors = [f"{each.json_path}: {each.message}" for each in Draft202012Validator(RUN_EVENT).iter_errors(event)]
    if errors:
        raise ValueError("; ".join(errors))
    return event


def spans(body: bytes) -> list[Any]:
    """The spans of an OTLP request.

    Raises:
        ValueError: it is none.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - of the extra `traces`
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as e:
        raise ValueError(str(e)) from e
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


@contextmanager
def hearing_lineage() -> Iterator[Receiver]:
    """OpenLineage's client of this process, which keeps its receiver, has this one."""
    with receiving(run_event) as receiver, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENLINEAGE_URL", receiver.url)
        openlineage.client.cache_clear()
        yield receiver
        LINEAGE.end()


@contextmanager
def hearing_traces() -> Iterator[Receiver]:
    """What sends traces in this process, which keeps its collector, has this one."""
    with receiving(spans) as receiver, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        traces.collector.cache_clear()
        yield receiver
        traces.SENDER.end()


def heard(receiver: Receiver) -> list[Any]:
    """What was accepted since it was asked last."""
    assert LINEAGE.end()
    assert traces.SENDER.end()
    assert receiver.wrong == []
    taken, receiver.taken = receiver.taken, []
    return taken
