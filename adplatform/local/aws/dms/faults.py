"""What can go wrong with a task, for ``POST /_adplatform/engines``. The target is the ARN of the task or of the
serverless configuration, and where a table is meant, also ``<ARN>/<schema>.<table>``."""

from collections.abc import Mapping

FAULTS: Mapping[str, str] = {
    "duplicate_objects": "the files of the next batch are written twice, under two names",
    "event_lost": "the next event of the task is never sent",
    "fails_unconfirmed": "the task fails after it has written a batch, before it tells the source: a resumed task "
    "writes the same changes under new names",
    "late_file": "the next file of changes (of the table) is written only after the next one of its table, under the "
    "earlier name that it was given",
    "file_lost": "the next file of changes (of the table) is never written, though its rows are counted",
    "load_fails": "the task fails in the load of a table once `count` files of it are written",
    "load_late": "`seconds` pass between the making of the slot and the snapshot of the load",
    "slot_lost": "the slot at the source is gone: the task fails for good",
    "split_files": "the rows of each file of the next batch are divided over `count` files, of 1 over two",
    "start_hangs": "the task stays in starting for `seconds`, 0 for until it is stopped",
    "table_error": "the table, or the first in the next batch, ends in error: its changes come no more while the task "
    "goes on",
    "throttled": "the next call about the task is refused as one too many",
    "unconfirmed": "`seconds` pass between the writing of the next batch and the word to the source, 0 for until the "
    "task is stopped",
}
