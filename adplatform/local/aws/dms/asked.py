"""What can be asked of a task through ``/_adplatform/engines`` that DMS itself does not answer.

``flush`` writes all changes now and says with which number; ``flushed`` says whether the flush of a number is done: all
that had been committed at the source before it was asked for is written then, and tables that were to be loaded again
are. ``confirmed`` says whether the source has been told all that is written: if not, the end of this process would have
it written again. A task that does not run cannot be flushed.
"""

from collections.abc import Mapping
from typing import Any

from moto.backends import get_backend

from adplatform.local.aws import managed
from adplatform.local.aws.dms.state import FULL_LOAD, Replication
from adplatform.local.aws.dms.work import WOKEN


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Callers hold the lock.

    Raises:
        ValueError: there is no such task or nothing such to ask, or the task does not run.
    """
    replication = _replication(str(asked.get("target", "")))
    what = asked.get("what")
    if what == "flush":
        if not replication.is_running or replication.kind == FULL_LOAD:
            raise ValueError(f"{replication.arn} has no changes to write: it is {replication.status}")
        replication.flushes += 1
        managed.changed("dms")
        WOKEN.notify_all()
        return {"flush": replication.flushes}
    if what == "flushed":
        done = replication.flushed >= int(asked["flush"])
        if not done and not replication.is_running:
            raise ValueError(f"{replication.arn} is {replication.status}: {replication.failure}")
        return {"flushed": done}
    if what == "confirmed":
        return {"confirmed": not replication.unconfirmed}
    raise ValueError(f"nothing can be asked of dms by {what!r}, but flush, flushed and confirmed")


def _replication(arn: str) -> Replication:
    for _, _, backend in get_backend("dms").iter_backends():
        if arn in backend.replications:
            found: Replication = backend.replications[arn]
            return found
    raise ValueError(f"there is no replication {arn!r}")
