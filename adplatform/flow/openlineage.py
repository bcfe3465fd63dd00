"""Events of OpenLineage about deliveries, and about tables that are made of others.

Datasets are called as OpenLineage's naming rules say: the place where the files land by its bucket and prefix, the
table by the ARN of its catalog. No event has the name of a file, or a value.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from adplatform.contracts.model import Contract
from adplatform.failures import unnamed
from adplatform.flow import lineage_catalog
from adplatform.flow.services import Services
from adplatform.flow.telemetry import DeliveryEvent, TablesMade
from adplatform.lake.table import table_name, table_spec
from adplatform.platform.extras import LINEAGE, extra
from adplatform.platform.late import Late
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn

PRODUCER = "urn:adplatform"
_IDS = UUID("6f0c6f0e-3f5a-5d0a-9d3c-3a9c1c1f2b7e")
"""Of which the ids of OpenLineage's runs are made."""

_client = Late("openlineage.client")
_events = Late("openlineage.client.event_v2")
_facets = Late("openlineage.client.facet_v2")
_serde = Late("openlineage.client.serde")
_naming = Late("openlineage.client.naming.dataset")


def emit(services: Services, happened: DeliveryEvent | TablesMade) -> None:
    """Send the events of what happened to the receiver that OpenLineage's own settings name.

    Raises:
        PermanentFailure: OpenLineage's client is not installed.
    """
    with extra(LINEAGE):
        for event in events_of(services, happened):
            client().emit(event)


def post(services: Services, happened: DeliveryEvent | TablesMade) -> None:
    """Send the events of what happened to the domain of SageMaker Catalog.

    Raises:
        PermanentFailure: OpenLineage's client is not installed, an event is too large, or is not taken.
    """
    with extra(LINEAGE):
        _events.set_producer(PRODUCER)
        told = [_serde.Serde.to_dict(event) for event in events_of(services, happened)]
    for event in told:
        lineage_catalog.post(services.datazone, services.settings.lineage_domain, event)


@cache
def client() -> Any:
    """OpenLineage's, one for the process: where it sends to is said by OpenLineage's own variables and file."""
    _events.set_producer(PRODUCER)
    return _client.OpenLineageClient()


def events_of(services: Services, happened: DeliveryEvent | TablesMade) -> Sequence[Any]:
    """What happened to a delivery is one event; a run that has made tables of others is its beginning and its end."""
    return _made(services, happened) if isinstance(happened, TablesMade) else [_delivered(services, happened)]


def _delivered(services: Services, event: DeliveryEvent) -> Any:
    flow, received = event.flow, _received(services, event)
    return _run_event(
        event.kind,
        event.at,
        flow.table,
        "DELIVERY",
        event.key,
        _run_facets(event),
        [_source_table(services, name) for name in flow.made_of] or [received],
        [_table(services, event, received)] if event.publication or event.kind != "COMPLETE" else [],
    )


def _made(services: Services, made: TablesMade) -> Sequence[Any]:
    facts = {"merge": str(made.number), "run_id": made.run_id}
    facets = {"tags": _tags(facts), **_parent(made.run_id, made.name.partition("/")[0])}
    inputs = [_source_table(services, name, columns) for name, columns in made.sources.items()]
    outputs = [
        _glue(services, name, columns, _same(columns, inputs, made), made.rows.get(name))
        for name, columns in made.tables.items()
    ]
    key = f"{made.name}/merge/{made.number}/{made.run_id}"
    return [
        _run_event(kind, at, made.name, "MERGE", key, facets, inputs, outputs)
        for kind, at in (("START", made.began), ("COMPLETE", made.ended))
    ]


def _run_event(
    kind: str,
    at: datetime,
    job: str,
    job_type: str,
    key: str,
    facets: Mapping[str, Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
) -> Any:
    of_job = {"jobType": _facets.job_type_job.JobTypeJobFacet("BATCH", "ADPLATFORM", job_type)}
    return _events.RunEvent(
        eventTime=at.isoformat(),
        eventType=_events.RunState[kind],
        run=_events.Run(runId=str(uuid5(_IDS, key)), facets=dict(facets)),
        job=_events.Job(namespace=_namespace(), name=job, facets=of_job),
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def _namespace() -> str:
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "adplatform"


def _run_facets(event: DeliveryEvent) -> dict[str, Any]:
    facts = {"day": event.day.isoformat(), "version": str(event.version), "run_id": event.run_id}
    if event.flow.scope:
        facts["scope"] = event.flow.scope.value
    begin, end = (f"{day}T00:00:00Z" for day in (event.day, event.day + timedelta(days=1)))
    found = {
        "nominalTime": _facets.nominal_time_run.NominalTimeRunFacet(begin, end),
        "tags": _tags(facts),
        **_parent(event.run_id, event.flow.source),
    }
    if event.error:
        found["errorMessage"] = _facets.error_message_run.ErrorMessageRunFacet(unnamed(event.error), "PYTHON")
    return found


def _tags(facts: Mapping[str, str]) -> Any:
    tags = [_facets.tags_run.TagsRunFacetFields(name, value, PRODUCER) for name, value in facts.items()]
    return _facets.tags_run.TagsRunFacet(tags)


def _parent(run_id: str, source: str) -> dict[str, Any]:
    """The run of Dagster; what commands work as is none."""
    if not _is_uuid(run_id):
        return {}
    parent, job = _facets.parent_run.Run(run_id), _facets.parent_run.Job(_namespace(), source)
    return {"parent": _facets.parent_run.ParentRunFacet(parent, job)}


def _received(services: Services, event: DeliveryEvent) -> Any:
    contract, row = event.flow.feed.contract, event.publication
    fields = [
        _facets.schema_dataset.SchemaDatasetFacetFields(column.field_name, column.data_type.hive, column.comment)
        for column in contract.read_columns
    ]
    counted = row and _facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=row.rows_in, fileCount=row.objects
    )
    return _events.InputDataset(
        namespace=f"s3://{services.zones.raw_bucket}",
        name=event.flow.layout.prefix.rpartition("/")[0],
        facets={"schema": _facets.schema_dataset.SchemaDatasetFacet(fields)},
        inputFacets={"inputStatistics": counted} if counted else {},
    )


def _table(services: Services, event: DeliveryEvent, received: Any) -> Any:
    flow, row = event.flow, event.publication
    contract = flow.feed.contract
    spec = table_spec(
        flow.table,
        contract,
        output_columns(contract, previous=bool(row and row.previous_key_id)),
        database_prefix=services.settings.database_prefix,
        scope=flow.scope.column if flow.scope else None,
        compacted=flow.compacted,
    )
    columns = [*spec.columns, *spec.partitions]
    made = {} if flow.made_of else {each.name: _made_of(contract, each, received) for each in columns}
    version = f"{row.day}/{row.version}" if row else ""
    return _glue(services, flow.table, columns, made, row.clean if row else None, version)


def _glue(
    services: Services,
    table: str,
    columns: Iterable[OutputColumn],
    made: Mapping[str, Any],
    rows: int | None,
    version: str = "",
) -> Any:
    """A table of the catalog, with what its columns are ``made`` of."""
    name, identifier = _name(services, table), _facets.symlinks_dataset.Identifier
    place = identifier(f"s3://{services.zones.clean_bucket}", services.zones.clean(table).rstrip("/"), "LOCATION")
    lineage = {column: fields for column, fields in made.items() if fields is not None}
    facets = {
        "schema": _schema(columns),
        "symlinks": _facets.symlinks_dataset.SymlinksDatasetFacet([place]),
        **({"columnLineage": _facets.column_lineage_dataset.ColumnLineageDatasetFacet(lineage)} if lineage else {}),
        **({"version": _facets.dataset_version_dataset.DatasetVersionDatasetFacet(version)} if version else {}),
    }
    counted = _facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return _events.OutputDataset(
        namespace=name.get_namespace(),
        name=name.get_name(),
        facets=facets,
        outputFacets={"outputStatistics": counted} if rows is not None else {},
    )


def _source_table(services: Services, table: str, columns: Sequence[OutputColumn] = ()) -> Any:
    """A table of the catalog that another is made of."""
    name = _name(services, table)
    facets = {"schema": _schema(columns)} if columns else {}
    return _events.InputDataset(namespace=name.get_namespace(), name=name.get_name(), facets=facets)


def _name(services: Services, table: str) -> Any:
    named = table_name(table, services.settings.database_prefix)
    return _naming.AWSGlue(services.aws.region, services.account, named.database, named.name)


def _schema(columns: Iterable[OutputColumn]) -> Any:
    field = _facets.schema_dataset.SchemaDatasetFacetFields
    return _facets.schema_dataset.SchemaDatasetFacet([field(e.name, e.type.hive, e.comment) for e in columns])


def _same(columns: Iterable[OutputColumn], inputs: Sequence[Any], made: TablesMade) -> dict[str, Any]:
    """What columns are made of that go on from the tables before as they are."""
    lineage = _facets.column_lineage_dataset
    how = lineage.Transformation(type="DIRECT", subtype="IDENTITY", masking=False)
    found = {}
    for column in columns:
        before = [
            lineage.InputField(each.namespace, each.name, column.name, [how])
            for each, known in zip(inputs, made.sources.values(), strict=True)
            if column.name in {other.name for other in known}
        ]
        found[column.name] = lineage.Fields(before) if before else None
    return found


def _made_of(contract: Contract, column: OutputColumn, received: Any) -> Any:
    """Which fields of the files a column of the table is made of, and how; None where of none."""
    fields = {each.name: each for each in contract.read_columns}
    sources = [fields[name] for name in column.sources if name in fields]
    if not sources:
        return None
    lineage = _facets.column_lineage_dataset
    form = column.tags.get("form", "clear")
    text = all(each.data_type.name == "string" and each.name == column.name for each in sources)
    how = lineage.Transformation(
        type="DIRECT",
        subtype="IDENTITY" if text and form == "clear" else "TRANSFORMATION",
        description=form if form != "clear" else "",
        masking=form != "clear",
    )
    where = (received.namespace, received.name)
    return lineage.Fields([lineage.InputField(*where, each.field_name, [how]) for each in sources])


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
