"""What every tool of the server is given."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adplatform.described.tables import Column, Table, tables_of
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.lake.catalog import Table as Catalogued
from adplatform.lake.table import Named


@dataclass(frozen=True)
class Limits:
    """``rows`` and ``bytes`` of one answer."""

    rows: int = 500
    bytes: int = 200_000


@dataclass(frozen=True)
class Known:
    """The declared sources. ``personal`` is whether columns with personal data may be read, too."""

    services: Services
    patterns: Sequence[Pattern]
    limits: Limits = Limits()
    personal: bool = False

    def of_source(self, source: str) -> list[Pattern]:
        """The declared source of that name; all where it is "".

        Raises:
            PermanentFailure: there is none.
        """
        found = [each for each in self.patterns if source in ("", each.source.name)]
        if not found and source:
            raise PermanentFailure(f"no source {source!r}; there are {wrapped(p.source.name for p in self.patterns)}")
        return found

    def tables(self, source: str = "", only: Collection[tuple[str, str]] | None = None) -> Iterator[Table]:
        """The tables and views of a source, or of all, with what of their columns is personal by the declaration or by
        the catalog; ``only`` those of these names, by database.

        Raises:
            PermanentFailure: there is no such source.
        """
        for pattern in self.of_source(source):
            yield from _tables(self.services, pattern, only)


def _tables(services: Services, pattern: Pattern, only: Collection[tuple[str, str]] | None) -> Iterator[Table]:
    personal: dict[tuple[str, str], frozenset[str]] = {}

    def catalogued(named: Named) -> Catalogued | None:
        wanted = only is None or (named.database, named.name) in only
        found = services.lake.catalog.table(named) if wanted else None
        if found is not None:
            personal[named.database, named.name] = found.personal
        return found

    settings = services.settings
    every = tables_of(pattern, settings.database_prefix, catalogued, path_copies=settings.path_copies)
    digests = {c.name: c.pii for table in every for c in table.columns if c.pii.get("form", "clear") != "clear"}
    for table in every:
        at = (table.database, table.name)
        if only is None or at in only:
            yield replace(table, columns=tuple(_marked(c, digests, personal.get(at, ())) for c in table.columns))


def _marked(column: Column, digests: Mapping[str, Mapping[str, str]], personal: Collection[str]) -> Column:
    """The column with what it is known to hold by the catalog, or because another table of the source has digests of
    that name, of which services make results that come back as a table."""
    known = column.pii or digests.get(column.name) or ({"pii": "by the catalog"} if column.name in personal else {})
    return replace(column, pii=known)
