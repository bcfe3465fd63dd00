"""What `dg scaffold defs` writes for a component: a source that validates as it is, with what to change beside it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

import click
import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from adplatform.contracts.feed import NAME
from adplatform.platform.clock import utc_now


class FeedOptions(BaseModel):
    """Options of a component with feeds."""

    model_config = ConfigDict(extra="forbid")

    feed: Annotated[str, Field(pattern=NAME)] = "orders"


class AccountOptions(BaseModel):
    """Options of a component with an account at Amazon."""

    model_config = ConfigDict(extra="forbid")

    region: Literal["na", "eu", "fe"] = "na"


class SourceScaffolder(dg.Scaffolder[BaseModel]):
    """Writes ``template``, in which ``{source}`` stands for the name of the folder, ``{start_date}`` for a date
    ``since`` days ago, and the name of each of ``options`` for what was given."""

    template: ClassVar[str]
    since: ClassVar[int]
    options: ClassVar[type[BaseModel]]

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now

    @classmethod
    def get_scaffold_params(cls) -> type[BaseModel]:
        return cls.options

    def scaffold(self, request: dg.ScaffoldRequest[BaseModel]) -> None:
        """
        Raises:
            UsageError: it is to be written in Python, which the commands of the platform do not read.
        """
        if request.scaffold_format == "python":
            if not any(request.target_path.iterdir()):
                request.target_path.rmdir()
            raise click.UsageError("commands read sources from defs.yaml only: leave out --format python")
        file = request.target_path if request.append else request.target_path / "defs.yaml"
        text = self.template.format(
            source=source_name(file.parent.name),
            start_date=self._now().date() - timedelta(days=self.since),
            **request.params.model_dump(),
        )
        with file.open("a" if request.append else "w", encoding="utf-8") as out:
            out.write(f"---\n{text}" if request.append else text)


def source_name(folder: str) -> str:
    """What a source is called whose definition is in a folder of that name."""
    name = re.sub(r"[^a-z0-9_]+", "_", folder.lower()).strip("_")
    return name if name[:1].isalpha() else f"source_{name}".rstrip("_")
