"""Amazon Athena whose queries are answered, by DuckDB over the files of the Data Catalog: SELECT, UNLOAD and CREATE
TABLE AS. moto's succeed without an answer, once for each time that they are asked for.

Missing: other statements, prepared ones and parameters, reuse of results, and formats of files but Parquet.
"""

from adplatform.local.aws import managed


def install() -> None:
    from moto.athena import urls  # noqa: PLC0415 - moto's parts of it

    from adplatform.local.aws.athena.calls import LocalAthenaResponse  # noqa: PLC0415
    from adplatform.local.aws.athena.executions import FAULTS, SERVICE  # noqa: PLC0415

    urls.url_paths["{0}/$"] = LocalAthenaResponse.dispatch
    managed.CONTROL.known[SERVICE] = FAULTS


def after_load() -> None:
    """Fails the queries that the end of the previous child interrupted."""
    from adplatform.local.aws.athena import executions  # noqa: PLC0415

    executions.fail_interrupted()
