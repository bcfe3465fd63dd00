"""AWS DMS that replicates PostgreSQL of this machine to S3, in the place of moto's, whose tasks move nothing.

A task, or a configuration of DMS Serverless, loads tables from a snapshot and then writes what changes, as files of the
layout that DMS has. Whoever cannot wait for its interval asks by ``POST /_adplatform/engines``:
``{"ask": {"service": "dms", "what": "flush", "target": "<ARN>"}}``; see ``asked.py``.

Missing: other sources and targets, full LOB mode, filters, transformations other than added columns, tables that are
made while a task runs (its next start takes them), start positions and stops at a commit time, validation and
assessments.
"""

from adplatform.local.aws import managed


def install() -> None:
    from moto.dms import models, urls  # noqa: PLC0415

    from adplatform.local.aws.dms.asked import answer  # noqa: PLC0415 - moto's parts of it
    from adplatform.local.aws.dms.calls import DmsResponse  # noqa: PLC0415
    from adplatform.local.aws.dms.faults import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.dms.state import DmsBackend  # noqa: PLC0415

    # moto finds the URLs of a backend by the module of its class.
    DmsBackend.__module__ = models.__name__
    models.dms_backends.backend = DmsBackend
    urls.url_paths["{0}/$"] = DmsResponse.dispatch
    managed.CONTROL.known["dms"] = FAULTS
    managed.CONTROL.answers["dms"] = answer


def resume() -> None:
    """Goes on where the previous process ended. The endpoint's URL is known by then; callers do not hold the lock."""
    from moto.backends import get_backend  # noqa: PLC0415

    from adplatform.local.aws.dms import runs  # noqa: PLC0415
    from adplatform.local.aws.state import LOCK  # noqa: PLC0415

    with LOCK:
        for _, _, backend in get_backend("dms").iter_backends():
            runs.resume(backend)
