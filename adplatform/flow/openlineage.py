"""Events of OpenLineage about deliveries.

Datasets are called as OpenLineage's naming rules say: the place where the files land by its bucket and prefix, the
table by the ARN of its catalog. No event has the name of a file, or a value.
"""

import os
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from adplatform.contracts.model import Contract
from adplatform.failures import unnamed
from adplatform.flow.services import Services
from adplatform.flow.told import Told
from adplatform.lake.table import table_spec
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
_naming = Late("openlineage.client.naming.dataset")


def emit(services: Services, told: Told) -> None:
    """Send an event, by whatever OpenLineage's own variables and file say.

    Raises:
        PermanentFailure: OpenLineage's client is not installed.
    """
    with extra(LINEAGE):
        sender = _sender()
        sender.emit(event_of(services, told))


@cache
def _sender() -> Any:
    _events.set_producer(PRODUCER)
    return _client.OpenLineageClient()


def event_of(services: Services, told: Told) -> Any:
    flow, namespace = told.flow, os.environ.get("OPENLINEAGE_NAMESPACE") or "adplatform"
    received = _received(services, told)
    job = _events.Job(
        namespace=namespace,
        name=flow.table,
        facets={"jobType": _facets.job_type_job.JobTypeJobFacet("BATCH", "ADPLATFORM", "DELIVERY")},
    )
    run = _events.Run(
        runId=str(uuid5(_IDS, told.key)),
        facets=_run_facets(told, namespace),
    )
    return _events.RunEvent(
        eventTime=told.at.isoformat(),
        eventType=_events.RunState[told.kind],
        run=run,
        job=job,
        inputs=[received],
        outputs=[_table(services, told, received)] if told.publication or told.kind != "COMPLETE" else [],
        producer=PRODUCER,
    )


def _run_facets(told: Told, namespace: str) -> dict[str, Any]:
    facets = _facets
    facts = {"day": told.day.isoformat(), "version": str(told.version), "run_id": told.run_id}
    if told.flow.scope:
        facts["scope"] = told.flow.scope.value
    said = [facets.tags_run.TagsRunFacetFields(name, value, PRODUCER) for name, value in facts.items()]
    begin, end = (f"{day}T00:00:00Z" for day in (told.day, told.day + timedelta(days=1)))
    found = {
        "nominalTime": facets.nominal_time_run.NominalTimeRunFacet(begin, end),
        "tags": facets.tags_run.TagsRunFacet(said),
    }
    if _is_uuid(told.run_id):
        of_dagster = facets.parent_run.Job(namespace, told.flow.source)
        found["parent"] = facets.parent_run.ParentRunFacet(facets.parent_run.Run(told.run_id), of_dagster)
    if told.error:
        found["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(unnamed(told.error), "PYTHON")
    return found


def _received(services: Services, told: Told) -> Any:
    contract, row = told.flow.feed.contract, told.publication
    fields = [
        _facets.schema_dataset.SchemaDatasetFacetFields(column.field_name, column.data_type.hive, column.comment)
        for column in contract.read_columns
    ]
    counted = row and _facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=row.rows_in, fileCount=row.objects
    )
    return _events.InputDataset(
        namespace=f"s3://{services.zones.raw_bucket}",
        name=told.flow.layout.prefix.rpartition("/")[0],
        facets={"schema": _facets.schema_dataset.SchemaDatasetFacet(fields)},
        inputFacets={"inputStatistics": counted} if counted else {},
    )


def _table(services: Services, told: Told, received: Any) -> Any:
    flow, row = told.flow, told.publication
    contract = flow.feed.contract
    spec = table_spec(
        flow.table,
        contract,
        output_columns(contract, previous=bool(row and row.previous_key_id)),
        database_prefix=services.settings.database_prefix,
        scope=flow.scope.column if flow.scope else None,
    )
    columns = [*spec.columns, *spec.partitions]
    fields = [
        _facets.schema_dataset.SchemaDatasetFacetFields(each.name, each.type.hive, each.comment) for each in columns
    ]
    account = services.account
    name = _naming.AWSGlue(services.aws.region, account, spec.database, spec.name)
    facets = {
        "schema": _facets.schema_dataset.SchemaDatasetFacet(fields),
        "columnLineage": _facets.column_lineage_dataset.ColumnLineageDatasetFacet(
            {each.name: made for each in columns if (made := _made_of(contract, each, received))}
        ),
        "symlinks": _facets.symlinks_dataset.SymlinksDatasetFacet(
            [
                _facets.symlinks_dataset.Identifier(
                    f"s3://{services.zones.clean_bucket}", services.zones.clean(flow.table).rstrip("/"), "LOCATION"
                )
            ]
        ),
    }
    if row:
        facets["version"] = _facets.dataset_version_dataset.DatasetVersionDatasetFacet(f"{row.day}/{row.version}")
    counted = row and _facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=row.clean)
    return _events.OutputDataset(
        namespace=name.get_namespace(),
        name=name.get_name(),
        facets=facets,
        outputFacets={"outputStatistics": counted} if counted else {},
    )


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
