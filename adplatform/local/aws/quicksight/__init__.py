"""Amazon QuickSight whose ingestions read: the tables that a data set names, through the catalog, row by row.

moto's data sets are a name, and its ingestions an answer that nobody can ask for again. Missing: users, groups and
dashboards, data sets of other sources than Athena or of more than one table, transformations, and that a schedule
begins ingestions.
"""

from adplatform.local.aws import managed


def install() -> None:
    from adplatform.local.aws.quicksight.calls import QuickSightResponse  # noqa: PLC0415 - moto's parts of it
    from adplatform.local.aws.quicksight.ingestions import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.quicksight.state import QuickSightBackend  # noqa: PLC0415

    managed.host("quicksight", QuickSightBackend, QuickSightResponse, {"{0}/.*$": QuickSightResponse.dispatch})
    managed.CONTROL.known["quicksight"] = FAULTS


def resume() -> None:
    """Goes on where the previous child ended; the endpoint's URL is known by then. Callers do not hold the lock."""
    from moto.backends import get_backend  # noqa: PLC0415

    from adplatform.local.aws.quicksight import ingestions  # noqa: PLC0415
    from adplatform.local.aws.state import LOCK  # noqa: PLC0415

    with LOCK:
        for _, _, backend in get_backend("quicksight").iter_backends():
            for data_set in backend.data_sets.values():
                ingestions.resume(data_set, backend.region_name)
