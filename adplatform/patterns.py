"""The source patterns, by the component that declares one in a ``defs.yaml``; each is imported when first needed.

A new pattern is entered here and in ``adplatform.components``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from adplatform.contracts.source import FileSource
from adplatform.contracts.yaml_files import Declared, Mistake, read_declarations
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import Pattern
from adplatform.flow.source import FeedFlow
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.flow.declared_table import DeclaredTable

DEFS = Path(__file__).parent / "defs"
P = TypeVar("P", bound=Pattern)


@dataclass(frozen=True)
class Kind:
    """Where the model of a component's attributes is, and what makes a pattern of one, as ``module:name``."""

    model: str
    pattern: str


KINDS: Mapping[str, Kind] = {
    "PartnerPush": Kind("adplatform.contracts.source:PushedSource", "adplatform.flow.pushed:pushed_files"),
    "SaasFlows": Kind("adplatform.contracts.saas:SaasSource", "adplatform.engines.pattern:saas_flows"),
    "ReplicatedFiles": Kind(
        "adplatform.contracts.replication:ReplicatedSource", "adplatform.engines.pattern:replicated_files"
    ),
    "DatabaseTables": Kind(
        "adplatform.contracts.database:DatabaseSource", "adplatform.engines.databases:database_tables"
    ),
    "DatabaseChanges": Kind(
        "adplatform.contracts.changes:ChangesSource", "adplatform.engines.changes:database_changes"
    ),
    "SftpFiles": Kind("adplatform.contracts.sftp:SftpSource", "adplatform.engines.sftp.source:sftp_files"),
    "AmazonAdsReports": Kind("adplatform.amazon.sources:AdsSource", "adplatform.pull.pattern:pulled_reports"),
    "SellingPartnerReports": Kind(
        "adplatform.amazon.sources:SellingPartnerSource", "adplatform.pull.pattern:pulled_reports"
    ),
    "MarketingFact": Kind(
        "adplatform.contracts.marketing:MarketingSource", "adplatform.marketing.pattern:marketing_fact"
    ),
}


class Models(Mapping[str, type[BaseModel]]):
    """The model of each component's attributes."""

    def __getitem__(self, kind: str) -> type[BaseModel]:
        model: type[BaseModel] = _named(KINDS[kind].model)
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


def kind_of(component: str) -> str:
    """The kind of a component type: its own name, or that of the component of ours that it extends."""
    module, _, name = component.rpartition(".")
    if name in KINDS or not module or module.startswith("dagster"):
        return name
    try:
        extended = getattr(import_module(module), name, None)
    except ImportError:
        return name
    ours = (base for base in getattr(extended, "__mro__", ()) if base.__module__.startswith("adplatform.components."))
    return next((base.__name__ for base in ours if base.__name__ in KINDS), name)


def read_defs(folder: Path = DEFS) -> tuple[list[Declared[BaseModel]], list[Mistake]]:
    """Every declared source below ``folder``, and every mistake in the files."""
    return read_declarations(folder, Models(), kind_of)


def faultless_defs(folder: Path = DEFS) -> list[Declared[BaseModel]]:
    """
    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    declared, mistakes = read_defs(folder)
    if mistakes:
        raise PermanentFailure(f"{mistakes[0]} (`adplatform validate` lists all)")
    return declared


def pattern_of(declared: Declared[BaseModel], settings: Settings) -> Pattern:
    """
    Raises:
        PermanentFailure: as what makes a pattern of that kind: its tables or layouts cannot be made.
    """
    make: Callable[[BaseModel, Settings], Pattern] = _named(KINDS[declared.kind].pattern)
    return make(declared.model, settings)


def declared_patterns(settings: Settings, folder: Path = DEFS) -> list[Pattern]:
    """Every declared source.

    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    return [pattern_of(each, settings) for each in faultless_defs(folder)]


def declared_table(table: str, settings: Settings, folder: Path = DEFS) -> "DeclaredTable":
    """Where a table, ``source/feed``, is declared, and which others are made of it, or of those.

    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    from adplatform.flow.declared_table import DeclaredTable  # noqa: PLC0415 - few need it

    found, flows = DeclaredTable(), list[FeedFlow]()
    for each in faultless_defs(folder):
        source = pattern_of(each, settings).source
        flows += [*source.feeds, *source.derived]
        if source.name == table.partition("/")[0]:
            found = DeclaredTable(str(each.file.relative_to(folder.parent)), isinstance(each.model, FileSource))
    made = {f"{flow.source}/{flow.merged_as}": None for flow in flows if flow.table == table and flow.merged_as}
    wanted = [table, *made]
    while wanted:
        name = wanted.pop(0)
        more = dict.fromkeys(flow.table for flow in flows if name in flow.made_of and flow.table not in made)
        made |= more
        wanted += more
    return replace(found, made_of_it=tuple(made))


def of_kind(patterns: list[Pattern], kind: type[P]) -> list[P]:
    """Those of one pattern, for what only that pattern has."""
    return [pattern for pattern in patterns if isinstance(pattern, kind)]


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
