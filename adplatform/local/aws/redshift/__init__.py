"""The Data API of Amazon Redshift, with databases that know external schemas, who may use them, and materialized views,
and that read external tables. moto's statements stay STARTED.

Missing: tables of the database itself, sessions, secrets, and rights: whoever asks is a superuser.
"""

from adplatform.local.aws import managed


def install() -> None:
    from moto.redshiftdata import urls  # noqa: PLC0415 - moto's parts of it

    from adplatform.local.aws.redshift.calls import RedshiftDataResponse  # noqa: PLC0415
    from adplatform.local.aws.redshift.statements import FAULTS  # noqa: PLC0415

    urls.url_paths["{0}/$"] = RedshiftDataResponse.dispatch
    managed.CONTROL.known["redshift-data"] = FAULTS


def after_load() -> None:
    """Fails the statements that the end of the previous child interrupted."""
    from adplatform.local.aws.redshift import statements  # noqa: PLC0415

    statements.fail_interrupted()
