"""AWS DataSync that copies, in the place of moto's, whose executions move on with every question and copy nothing.

Missing: destinations other than buckets, Azure Blob Storage over the network (a directory stands for it, as for file
servers), the protocol rpc-v2-cbor, log groups, changes of locations, schedules with ``L``, ``W`` or ``#``, and that a
schedule is disabled after failures.
"""

from pathlib import Path

from adplatform.local.aws import managed


def install() -> None:
    from adplatform.local.aws.datasync.calls import DataSyncResponse  # noqa: PLC0415 - moto's parts of it
    from adplatform.local.aws.datasync.faults import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.datasync.state import DataSyncBackend  # noqa: PLC0415

    managed.host("datasync", DataSyncBackend, DataSyncResponse, {"{0}/$": DataSyncResponse.dispatch})
    managed.CONTROL.known["datasync"] = FAULTS


def resume(shares: Path) -> None:
    """Goes on where the previous child ended; the endpoint's URL is known by then. ``shares`` is where directories
    stand for file servers. Callers do not hold the lock."""
    from moto.backends import get_backend  # noqa: PLC0415

    from adplatform.local.aws.datasync import locations, runs, schedule  # noqa: PLC0415
    from adplatform.local.aws.state import LOCK  # noqa: PLC0415

    locations.serve_shares(shares)
    with LOCK:
        for _, _, backend in get_backend("datasync").iter_backends():
            runs.resume(backend)
        schedule.run_schedules()
