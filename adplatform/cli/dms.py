"""The settings of AWS DMS on a terminal: what of them loses or reorders data, and settings that do not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from adplatform.cli.context import connect
from adplatform.engines.changes import ChangedFiles, operated
from adplatform.engines.dms_settings.check import check as checked_settings
from adplatform.engines.dms_settings.check import not_looked_at
from adplatform.engines.dms_settings.described import configuration_of_aws, task_of_aws
from adplatform.engines.dms_settings.documents import (
    BOTH,
    CHANGES,
    FULL_LOAD,
    RELOAD,
    RESUME,
    START,
    Checked,
    Operation,
)
from adplatform.engines.dms_settings.files import of_files
from adplatform.engines.dms_settings.operation_rules import moment
from adplatform.engines.dms_settings.read_source import read_source
from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.engines.dms_settings.rule import Finding, Severity
from adplatform.extract.connection import Connecting
from adplatform.extract.reading import split_name
from adplatform.failures import PermanentFailure
from adplatform.patterns import declared_patterns, of_kind
from adplatform.platform.settings import read_settings

ENDPOINT, SETTINGS, MAPPINGS = "endpoint.json", "settings.json", "mappings.json"
SOURCE_ENDPOINT = "source-endpoint.json"


def check(
    task: Annotated[str | None, typer.Option(help="A replication task in AWS: its ARN or name.")] = None,
    config: Annotated[str | None, typer.Option(help="A configuration of DMS Serverless: its ARN or name.")] = None,
    files: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(help="JSON files: the S3 endpoint, the task settings, the table mappings."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="The secret of the source database, whose log is read.")] = None,
    longest: Annotated[
        bool, typer.Option("--longest", help="Measure the longest values; reads tables with large values whole.")
    ] = False,
    tls: Annotated[bool, typer.Option(help="Off for a source on this machine.")] = True,
    migration: Annotated[str, typer.Option(help=f"For files: {BOTH}, {CHANGES} or {FULL_LOAD}.")] = BOTH,
    start: Annotated[str, typer.Option(help=f"How it is about to be started: {START}, {RESUME} or {RELOAD}.")] = "",
    last_change: Annotated[
        str | None, typer.Option(help="When the newest applied change was committed, or its $AR_H_CHANGE_SEQ.")
    ] = None,
    generation: Annotated[
        str | None, typer.Option(help="When the generation of loads was opened that files belong to.")
    ] = None,
    watched: Annotated[bool, typer.Option("--watched", help="Somebody is told of tables in error.")] = False,
) -> None:
    """Refuse settings of AWS DMS that lose or reorder data. Errors end with status 1, warnings do not."""
    _require_one_of("--migration", migration, (BOTH, CHANGES, FULL_LOAD))
    _require_one_of("--start", start, ("", START, RESUME, RELOAD))
    found = _read(task, config, files, migration)
    operation = replace(
        _operated(task or config, found.operation),
        start=start,
        last_change=_moment("--last-change", last_change),
    )
    if generation is not None:
        operation = replace(operation, generation=_moment("--generation", generation))
    operation = replace(operation, watched=watched or operation.watched)
    found = replace(found, operation=operation)
    if source is not None:
        how = Connecting(tls)
        facts = read_source(connect().secrets, source, found.mappings, how, longest=longest)
        found = replace(found, source=facts)
    findings = checked_settings(found)
    typer.echo(report(findings, not_looked_at(found)))
    if any(each.severity is Severity.ERROR for each in findings):
        raise typer.Exit(1)


def settings(
    tables: Annotated[list[str], typer.Argument(help="Tables, as schema.table.", show_default=False)],
    bucket: Annotated[str | None, typer.Option(help="The bucket; by default the raw zone's.")] = None,
    folder: Annotated[str, typer.Option(help="The folder in it, one for each task and load.")] = "landing/dms",
    into: Annotated[Path | None, typer.Option(help="A folder to write them to, a file each.")] = None,
) -> None:
    """Print settings of AWS DMS that pass every rule: endpoints, task settings, table mappings."""
    names = [_table(each) for each in dict.fromkeys(tables)]
    documents = {
        ENDPOINT: target_endpoint(bucket or read_settings().raw_bucket, folder),
        SETTINGS: task_settings(),
        MAPPINGS: table_mappings(names),
        SOURCE_ENDPOINT: postgres_endpoint(),
    }
    if into is None:
        typer.echo(json.dumps(documents, indent=2))
        return
    into.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (into / name).write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")
        typer.echo(into / name)


def report(findings: Sequence[Finding], missing: Sequence[str]) -> str:
    """The findings, a paragraph each, what was not looked at, and the sum."""
    paragraphs = []
    for each in findings:
        lines = [f"{each.severity} {each.number}: {each.where}", f"  {each.text}"]
        lines += [f"  {line}" for line in each.json.splitlines()]
        paragraphs.append("\n".join(lines))
    if missing:
        paragraphs.append("\n".join(["not looked at:", *(f"  {each}" for each in missing)]))
    errors = sum(each.severity is Severity.ERROR for each in findings)
    paragraphs.append(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    return "\n\n".join(paragraphs)


def _read(task: str | None, config: str | None, files: tuple[Path, Path, Path] | None, migration: str) -> Checked:
    given = [each for each in (task, config, files) if each]
    if len(given) != 1:
        raise PermanentFailure("say what to check: --task, --config, or --files with three of them")
    if files:
        return of_files(*files, migration)
    services = connect()
    dms = services.aws.client("dms")
    return task_of_aws(dms, services.s3, task) if task else configuration_of_aws(dms, services.s3, config or "")


def _operated(name: str | None, operation: Operation) -> Operation:
    """What the ledger knows of a replication that a source follows here."""
    if name is None:
        return operation
    services = connect()
    for pattern in of_kind(declared_patterns(services.settings), ChangedFiles):
        dms = pattern.dms(services)
        if dms is not None and dms.named == name:
            return operated(services.ledger, pattern.followed, operation)
    return operation


def _table(name: str) -> tuple[str, str]:
    schema, table = split_name(name)
    if not schema or not table:
        raise PermanentFailure(f"{name!r} names no table: write schema.table")
    return schema, table


def _moment(option: str, text: str | None) -> datetime | None:
    found = moment(text) if text else None
    if text and found is None:
        raise PermanentFailure(f"{option} {text!r} is no date: write 2026-03-01T12:00:00")
    return found


def _require_one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise PermanentFailure(f"{option} {value!r}: it is one of {', '.join(each for each in allowed if each)}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
