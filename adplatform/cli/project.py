"""Commands for the project itself: try it, develop it, check and document what is declared."""
# ruff: noqa: PLC0415 - what one of them needs takes seconds to import

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from adplatform.cli.context import connect, console, errors
from adplatform.contracts.templates import templated
from adplatform.contracts.yaml_files import Declared
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.automation_names import clashes
from adplatform.flow.pattern import Pattern
from adplatform.flow.source import FeedFlow
from adplatform.patterns import DEFS, KINDS, Models, declared_patterns, pattern_of, read_defs
from adplatform.platform.extras import LOCAL, extra
from adplatform.platform.settings import read_settings

if TYPE_CHECKING:
    from adplatform.cli.onboarding import SftpAccess
    from adplatform.consumers.finding import Finding


def provision() -> None:
    """Make what the declared sources need and does not exist yet: buckets, ledger, queues, topics, hashing key."""
    from adplatform.resources.provisioning import provision_patterns

    services = connect()
    for difference in provision_patterns(services, declared_patterns(services.settings)):
        console.print(difference, highlight=False, soft_wrap=True)
    console.print("everything the declared sources need is there")


def demo(
    fresh: Annotated[bool, typer.Option(help="Forget everything the embedded AWS holds, and start over.")] = False,
) -> None:
    """Two partners deliver encrypted and damaged files, an Ads account and a seller are pulled from a simulated
    Amazon, tables from a simulated shop; see what becomes of it."""
    settings = read_settings()
    if settings.env != "local":
        raise PermanentFailure("the demo runs on the embedded AWS only: unset ADPLATFORM_ENV")
    if fresh:
        with extra(LOCAL):
            from adplatform.local.world.shop.world import forget
        forget(settings.data / "shop")
        for part in (
            settings.data,
            settings.home / "dagster",
            settings.home / "amazon",
            settings.home / "tokens",
            settings.temp,
        ):
            rmtree(part, ignore_errors=True)
    with extra(LOCAL), ThreadPoolExecutor(1) as beside:
        from adplatform.local.endpoint import ensure

        if "AWS_ENDPOINT_URL" not in os.environ:
            beside.submit(ensure, settings.data)  # each takes seconds; where it cannot start, connect says why
        from adplatform.cli.demo import run_demo
    services = connect()
    run_demo(services, declared_patterns(settings), console, errors)


def dev(port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000) -> None:
    """Start the UI with sensors and schedules on, on the embedded AWS that `demo` and `push` use."""
    from adplatform.cli.process_group import run_to_the_end, stop_signals
    from adplatform.resources.provisioning import provision_patterns

    with extra(LOCAL):
        from adplatform.local.dagster_home import prepare_dagster_home
        from adplatform.local.endpoint import own
    with stop_signals() as stop:
        settings = read_settings()
        if settings.env == "local" and "AWS_ENDPOINT_URL" not in os.environ:
            own(settings.data, lambda: console.print("another command has the embedded AWS; waiting for it to end"))
        services = connect()
        provision_patterns(services, declared_patterns(settings))
        console.print(f"Dagster opens on http://127.0.0.1:{port}; drop a file with `adplatform push <feed> <file>`")
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(prepare_dagster_home(settings.home)),
            "ADPLATFORM_HOME": str(settings.home),
        }
        if services.aws.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = services.aws.endpoint_url
        workspace = Path(__file__).parents[2] / "workspace.yaml"
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
        # Not from the project, whose .env would take the place of the home that is meant.
        raise typer.Exit(run_to_the_end(command, environment, stop, directory=Path(environment["DAGSTER_HOME"])))


def validate(
    folder: Annotated[Path, typer.Argument(help="Where to look for defs.yaml files.", exists=True)] = DEFS,
) -> None:
    """Check every declared source and print file, line and reason of each mistake."""
    declared, mistakes = read_defs(folder)
    found = [str(m) for m in mistakes]
    sources: dict[str, str] = {}
    flows: list[FeedFlow] = []
    for entry in declared:
        place, name = f"{entry.file}:{entry.line}", str(getattr(entry.model, "source", ""))
        if name in sources:
            found.append(f"{place}: source: {name} is declared in {sources[name]} already; give it another name")
        sources.setdefault(name, place)
        for text in entry.renamed:
            errors.print(f"{place}: {text}", highlight=False, soft_wrap=True)
        reasons, warnings, tables = _looked_at(entry)
        for text in warnings:
            errors.print(f"{text} (a warning)", highlight=False, soft_wrap=True)
        found += reasons
        flows += tables
    found += clashes(flows)
    found += disagreements([entry.model for entry in declared])
    for level, text in _unfit_facts(declared):
        if level == "error":
            found.append(text)
        else:
            errors.print(f"{text} (a warning)", highlight=False, soft_wrap=True)
    found += misrouted(folder, sources)
    for text in found:
        errors.print(text, highlight=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)
    console.print(f"{len(declared)} sources with {len(flows)} feeds are valid")


def misrouted(folder: Path, sources: Iterable[str]) -> list[str]:
    """Mistakes of the routes of messages, each with its place."""
    from adplatform.contracts.alerts import FILE, read_alerts, unknown_sources

    routes, mistakes = read_alerts(folder / FILE)
    return [str(each) for each in (*mistakes, *(unknown_sources(routes, sources) if routes else ()))]


def disagreements(models: Iterable[BaseModel]) -> list[str]:
    """What sources say differently of what they share."""
    from adplatform.contracts.sftp import SftpSource
    from adplatform.contracts.sftp_server import SftpServer
    from adplatform.engines.sftp.server import require_agreement

    uploaded = ((model.source, model.from_) for model in models if isinstance(model, SftpSource))
    try:
        require_agreement((source, server) for source, server in uploaded if isinstance(server, SftpServer))
    except PermanentFailure as e:
        return [str(e)]
    return []


def _unfit_facts(declared: Sequence[Declared[BaseModel]]) -> Iterator[tuple[str, str]]:
    """What facts map that the declared tables do not have: the level of each, and a sentence with its place."""
    from adplatform.contracts.marketing import MarketingSource
    from adplatform.marketing.mapped import misfits

    facts = [(entry, entry.model) for entry in declared if isinstance(entry.model, MarketingSource)]
    if not facts:
        return
    tables: dict[str, FeedFlow] = {}
    for entry in declared:
        with suppress(PermanentFailure):  # said where the source itself is looked at
            pattern = pattern_of(entry, read_settings())
            every = (*pattern.source.feeds, *pattern.source.derived)
            tables |= {flow.table: pattern.part(flow, "any") if pattern.part else flow for flow in every}
    for entry, model in facts:
        for path, each in misfits(model, tables):
            where = ".".join(map(str, path))
            yield each.level, f"{entry.file}:{entry.line_of(*path)}: {where}: {each}"


def _looked_at(declared: Declared[BaseModel]) -> tuple[list[str], list[str], list[FeedFlow]]:
    """What only shows when tables, layouts and contracts are made of a declaration, with its place: mistakes and
    warnings; and its feeds."""
    from adplatform.files.landing import layout_of
    from adplatform.transform.compile import compile_contract
    from adplatform.transform.expressions import BadExpression

    try:
        pattern = pattern_of(declared, read_settings())
    except PermanentFailure as e:
        return [f"{declared.file}:{declared.line}: {e}"], [], []
    flows = list(pattern.source.feeds)
    reasons = []
    for feed in (flow.feed for flow in flows):
        try:
            layout_of("any/", feed.model_copy(update={"landing": feed.landing.replace("{scope}", "any")}))
            compile_contract(feed.contract)
        except PermanentFailure as e:
            line = declared.texts.get(e.text, declared.line) if isinstance(e, BadExpression) else declared.line
            reasons.append(f"{declared.file}:{line}: feeds.{feed.name}: {e}")
    unfit = [] if reasons else [*_unfit(declared, pattern), *_misplaced(declared, pattern)]
    reasons += [text for level, text in unfit if level == "error"]
    return reasons, [text for level, text in unfit if level == "warning"], flows


def _unfit(declared: Declared[BaseModel], pattern: Pattern) -> Iterator[tuple[str, str]]:
    """What the services that are to read a table could not take: the level of each, and a sentence with its place."""
    places = {feed.name: number for number, feed in enumerate(getattr(declared.model, "feeds", ()))}
    for name, setting, service, findings in _fitness(pattern):
        for each in findings:
            path = (setting, service, *filter(None, each.setting.split(".")))
            above = ("feeds", places[name]) if name in places else ()
            where = ".".join(path if name not in places else ("feeds", name, *path))
            of = "" if name in places else f"table {name}: "
            yield each.level, f"{declared.file}:{declared.line_of(*above, *path)}: {where}: {of}{each}"


def _misplaced(declared: Declared[BaseModel], pattern: Pattern) -> Iterator[tuple[str, str]]:
    """Where a stream of Amazon's would not be sent to."""
    from adplatform.pull.pattern import PulledReports
    from adplatform.pull.stream.setup import misplaced

    settings = read_settings()
    stream = pattern.stream if isinstance(pattern, PulledReports) and settings.env == "aws" else None
    if stream and (text := misplaced(stream, settings.region)):
        yield "error", f"{declared.file}:{declared.line_of('stream')}: stream: {text}"


def _fitness(pattern: Pattern) -> Iterator[tuple[str, str, str, "Sequence[Finding]"]]:
    """What each service that is to have a table could not take: the table's name, the setting that names services, the
    service, and that."""
    from adplatform.consumers.fitness import declared_fitness
    from adplatform.engines.consumed import consumed_tables
    from adplatform.flow.exports import unfit_exports

    for table in consumed_tables(pattern):
        for consumer, findings in declared_fitness(table).items():
            yield table.feed.partition("/")[2], "consumers", consumer, findings
    for flow in pattern.source.feeds:
        whole = pattern.part(flow, "any") if pattern.part else flow
        for destination, findings in unfit_exports(whole).items():
            yield flow.feed.name, "activations", destination, findings


def schema(
    component: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")] = "PartnerPush",
) -> None:
    """Print the JSON Schema of a component's attributes, for editors."""
    if component not in KINDS:
        raise PermanentFailure(f"no component {component!r}; there are {wrapped(KINDS)}")
    print(json.dumps(templated(Models()[component]).model_json_schema(), indent=2))


def onboard(source: Annotated[str, typer.Argument(help="A source.")]) -> None:
    """Print the page to send to a partner: where to put which files, when, encrypted how, with which columns."""
    from adplatform.cli.onboarding import onboarding_page

    takers = {p.source.name: p for p in declared_patterns(read_settings()) if p.source.takes_files}
    if source not in takers:
        raise PermanentFailure(f"no partner {source!r}; there are {wrapped(takers)}")
    print(onboarding_page(takers[source].source, sftp_access(takers[source])))


def sftp_access(pattern: Pattern) -> "SftpAccess | None":
    """How the partner of a source reaches the SFTP server that it uploads to; None where it uploads to none.

    Raises:
        PermanentFailure, TransientFailure: AWS refuses to tell.
    """
    from adplatform.cli.onboarding import SftpAccess
    from adplatform.engines.sftp.provided_servers import folder_of
    from adplatform.engines.sftp.server import UploadedFiles

    if not isinstance(pattern, UploadedFiles):
        return None
    users = [(user, folder_of(pattern.source.prefix, user)) for user in pattern.server.users]
    return SftpAccess(pattern.address(connect()), users, pattern.server.set_stat)
