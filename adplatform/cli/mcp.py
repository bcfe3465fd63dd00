"""The command that an assistant starts to ask about the platform."""

from typing import Annotated

import anyio
import typer

from adplatform.cli.context import connect
from adplatform.mcp.known import Known, Limits
from adplatform.mcp.server import serve
from adplatform.patterns import declared_patterns
from adplatform.platform.extras import MCP, extra


def mcp(
    rows: Annotated[int, typer.Option(help="Rows of an answer at most.", min=1)] = 500,
    kilobytes: Annotated[int, typer.Option(help="Size of an answer at most, in 1,000 bytes.", min=1)] = 200,
    seconds: Annotated[float, typer.Option(help="How long an answer may take.", min=1)] = 60,
    personal: Annotated[
        bool, typer.Option("--personal", help="Let queries read columns with personal data, too: digests, for example.")
    ] = False,
) -> None:
    """Serve read-only tools to an assistant by the Model Context Protocol: stdin and stdout belong to it.

    Nothing changes anything. Queries read clean tables alone, and of these no column with personal data; no answer has
    values of quarantined rows or names of files. Messages go to stderr.
    """
    limits = Limits(rows, kilobytes * 1000)

    def know() -> Known:
        services = connect()
        return Known(services, declared_patterns(services.settings), limits, personal)

    with extra(MCP):
        anyio.run(serve, know, seconds)
