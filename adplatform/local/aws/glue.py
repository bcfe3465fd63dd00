"""The Glue Data Catalog with optimistic locking, on which Iceberg commits and concurrent publishers rely."""

from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import EmptyResult
from moto.glue import urls
from moto.glue.responses import GlueResponse

from adplatform.local.aws import crawler


class ConcurrentModificationException(JsonRESTError):
    code = 400

    def __init__(self, expected: str, current: str) -> None:
        super().__init__(
            "ConcurrentModificationException",
            f"Update table failed due to concurrent modifications: the current version is {current}, not {expected}.",
        )


class LocalGlueResponse(GlueResponse):
    def update_table(self) -> Any:
        """moto ignores VersionId, so that every concurrent writer wins and earlier commits vanish, and SkipArchive."""
        table_input = self.parameters["TableInput"]
        table = self.glue_backend.get_table(self.parameters["DatabaseName"], table_input["Name"])
        current = str(table._current_version)
        expected = self.parameters.get("VersionId")
        if expected is not None and str(expected) != current:
            raise ConcurrentModificationException(str(expected), current)
        table.update(table_input)
        if self.parameters.get("SkipArchive"):
            table.versions.pop(current, None)
        return EmptyResult()

    def start_crawler(self) -> Any:
        crawler.start(self.glue_backend.get_crawler(self.parameters["Name"]), _changed)
        return EmptyResult()


_changed: Callable[[], None]


def install(changed: Callable[[], None]) -> None:
    """``changed`` is called when the catalogue changed outside of a request."""
    global _changed  # noqa: PLW0603 - moto itself creates the responses
    _changed = changed
    crawler.install()
    urls.url_paths["{0}/$"] = LocalGlueResponse.dispatch
