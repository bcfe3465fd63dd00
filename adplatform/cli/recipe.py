"""What people are given who have another loader write tables of a source: its settings, and what it may do."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from adplatform.contracts.feed import LOAD
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.source import FeedFlow, Source
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import Settings, read_settings

_OWN = ("_dlt_version", "_dlt_pipeline_state")
_INIT = '{"initial_version": 2, "current_version": 2}'


def dlt(source: Annotated[str, typer.Argument(help="A source.", show_default=False)]) -> None:
    """Print how dlt writes tables of a source: its settings, and a policy with which it can do nothing else."""
    settings = read_settings()
    sources = {each.source.name: each.source for each in declared_patterns(settings) if each.source.takes_files}
    if source not in sources:
        raise PermanentFailure(f"no partner {source!r}; there are {wrapped(sources)}")
    print(dlt_recipe(sources[source], settings))


def dlt_recipe(source: Source, settings: Settings) -> str:
    """Markdown for the people who run dlt. Holds no secrets.

    Raises:
        PermanentFailure: no feed of the source waits for loads.
    """
    flows = [flow for flow in source.feeds if flow.layout.load_marker]
    if not flows:
        raise PermanentFailure(
            f"{source.name}: no feed has complete_when: load_marker; set format: {{preset: dlt}} in those of dlt"
        )
    return "\n".join(_page(source, flows, settings))


def _page(source: Source, flows: Sequence[FeedFlow], settings: Settings) -> Iterator[str]:
    datasets = list(dict.fromkeys(_dataset(flow, source) for flow in flows))
    yield f"# dlt writes {source.name}"
    yield ""
    yield "`.dlt/config.toml`:"
    yield ""
    yield "```toml"
    yield from _config(source)
    yield "```"
    yield ""
    yield "`.dlt/secrets.toml`, where dlt looks for credentials; it has the name of an AWS profile, and no secret:"
    yield ""
    yield "```toml"
    yield "[destination.filesystem.credentials]"
    yield f'profile_name = "{source.name}-writer"'
    yield f'region_name = "{settings.region}"'
    yield "```"
    yield ""
    yield '`dlt.pipeline(..., destination="filesystem", dataset_name=...).run(..., loader_file_format=...)`:'
    yield ""
    yield "| feed | dataset_name | table | schema | loader_file_format | write_disposition |"
    yield "|---|---|---|---|---|---|"
    for flow in flows:
        whole = ", all rows each time" if flow.feed.arrival.loads == "newest" else ""
        written = "parquet" if flow.feed.format.kind == "parquet" else "jsonl"
        shown = (flow.table, f"`{_dataset(flow, source)}`", f"`{flow.feed.name}`", _schema(flow), f"`{written}`")
        yield f"| {' | '.join(shown)} | `append`{whole} |"
    yield ""
    yield "The policy of that profile's role:"
    yield ""
    yield "```json"
    yield json.dumps(writer_policy(source, datasets, settings), indent=2)
    yield "```"
    yield ""
    yield from _notes(source, datasets)


def _config(source: Source) -> Iterator[str]:
    yield "[destination.filesystem]"
    yield f'bucket_url = "s3://{source.bucket}/{source.prefix.rstrip("/")}"'
    yield 'layout = "{table_name}/{load_id}.{file_id}.{ext}"'
    yield ""
    yield "[load]"
    yield "raise_on_failed_jobs = true   # a load of which a file failed gets no marker"


def _notes(source: Source, datasets: Sequence[str]) -> Iterator[str]:
    yield "- `replace` deletes files of tables, which the policy does not allow: `append` all rows, to feeds that take"
    yield "  the newest load. `merge` is `append` in this destination"
    yield "- Who may list some prefixes only is told by S3 that a key is forbidden (403), not that it is missing, which"
    yield "  dlt takes for an error when it first looks for its own files. Put these before the first load:"
    for dataset in datasets:
        yield ""
        yield f"      echo '{_INIT}' | aws s3 cp - s3://{source.bucket}/{source.prefix}{dataset}/init"
        for own in _OWN:
            yield f"      aws s3api put-object --bucket {source.bucket} --key {source.prefix}{dataset}/{own}/first"
    yield ""
    yield "- A killed pipeline goes on with its load when it is run again where its working directory is"


def writer_policy(source: Source, datasets: Sequence[str], settings: Settings) -> dict[str, Any]:
    """What the calls need that dlt 1.31 makes for `append` through s3fs: files are put and not read, dlt's own are read
    again, old states of the pipeline deleted."""
    bucket = f"arn:aws:s3:::{source.bucket}"
    folders = [f"{source.prefix}{dataset}/" for dataset in datasets]
    own = [f"{bucket}/{folder}{name}" for folder in folders for name in ("init", *(f"{each}/*" for each in _OWN))]
    listed = {"StringLike": {"s3:prefix": [f"{folder}*" for folder in folders]}}
    statements: list[dict[str, Any]] = [
        _allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{bucket}/{folder}*" for folder in folders]),
        _allow(["s3:GetObject"], own),
        _allow(["s3:DeleteObject"], [f"{bucket}/{folder}_dlt_pipeline_state/*" for folder in folders]),
        {**_allow(["s3:ListBucket"], [bucket]), "Condition": listed},
        _allow(["s3:GetBucketLocation"], [bucket]),
    ]
    if settings.kms_key_id:
        key = settings.kms_key_id
        named = key if key.startswith("arn:") else f"arn:aws:kms:{settings.region}:<account>:key/{key}"
        statements.append(_allow(["kms:GenerateDataKey", "kms:Decrypt"], [named]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _dataset(flow: FeedFlow, source: Source) -> str:
    """The folder that the landing template begins with; the source's name where it leaves that open."""
    first = flow.feed.landing.partition("/")[0]
    return source.name if set(first) & set("*{") else first


def _schema(flow: FeedFlow) -> str:
    """The schema whose loads count, by the name of their markers, as dlt writes those."""
    name = flow.feed.arrival.load_marker.rpartition("/")[2].partition(f"__{LOAD}")[0]
    return "any" if "*" in name or not name else f"`{name}`"
