"""What `dg scaffold defs` writes for a component: a source that validates as it is, with what to change beside it."""

import re
from datetime import timedelta
from typing import ClassVar

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component

from adplatform.platform.clock import utc_now


class SourceScaffolder(dg.Scaffolder):
    """Writes ``template``, in which ``{source}`` stands for the name of the folder and ``{start_date}`` for a date
    ``since`` days ago."""

    template: ClassVar[str]
    since: ClassVar[int]

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        if request.scaffold_format == "python":
            scaffold_component(request)
            return
        start_date = utc_now().date() - timedelta(days=self.since)
        text = self.template.format(source=source_name(request.target_path.name), start_date=start_date)
        file = request.target_path if request.append else request.target_path / "defs.yaml"
        with file.open("a" if request.append else "w", encoding="utf-8") as out:
            out.write(f"---\n{text}" if request.append else text)


def source_name(folder: str) -> str:
    """What a source is called whose definition is in a folder of that name."""
    name = re.sub(r"[^a-z0-9_]+", "_", folder.lower()).strip("_")
    return name if name[:1].isalpha() else f"source_{name}".rstrip("_")
