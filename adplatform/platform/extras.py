"""Parts of an installation that are not everywhere: what to say where one is needed and not there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from adplatform.failures import PermanentFailure

LOCAL, SPARK = "adplatform.local", "pyspark"
LINEAGE, TRACES, MCP = "openlineage", "opentelemetry", "mcp"
_ABSENT: Mapping[str, str] = {
    LOCAL: "the embedded AWS and the simulated world are not part of this installation, as in the production image: "
    "set ADPLATFORM_ENV=aws, or run this from a checkout of the project with the extra `local`",
    SPARK: "pyspark is not part of this installation: Glue and EMR Serverless bring it, elsewhere it comes with the "
    "extra `spark`",
    LINEAGE: "openlineage-python is not part of this installation: it comes with the extra `lineage`, or leave out "
    "OPENLINEAGE_URL",
    TRACES: "OpenTelemetry is not part of this installation: it comes with the extra `traces`, or leave out "
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    MCP: "the SDK of the Model Context Protocol is not part of this installation: it comes with the extra `mcp`",
}


def has_local() -> bool:
    """Whether the stand-ins of this machine are installed."""
    return find_spec(LOCAL) is not None


@contextmanager
def extra(part: str) -> Iterator[None]:
    """Something of ``part``, a module that may not be installed, is imported or used within.

    Raises:
        PermanentFailure: it is not installed; says what brings it.
    """
    try:
        yield
    except ModuleNotFoundError as e:
        if e.name is None or not f"{e.name}.".startswith(f"{part}."):
            raise
        raise PermanentFailure(_ABSENT[part]) from e
