"""What can go wrong with a flow, for ``POST /_adplatform/engines``."""

from collections.abc import Mapping

FAULTS: Mapping[str, str] = {
    "answer_lost": "StartFlow begins the run, but its connection ends before the answer",
    "connection_expired": "the application refuses the credentials of the next run",
    "event_early": "the report of a run is sent before StartFlow is answered",
    "event_late": "the report of the next run is sent `seconds` after its end, by the clock of the engines",
    "event_lost": "the report of the next run is never sent",
    "event_twice": "the report of the next run is sent twice",
    "history_expired": "records of runs that began more than `seconds` ago are gone from the next look on",
    "no_records": "DescribeFlowExecutionRecords shows none",
    "on_page_2": "the newest record is not on the first page, even if that is empty",
    "put_failures": "`count` files of the next run are missing, and it says so, but is successful",
    "run_fails": "the next run fails after it has written `count` files",
    "stuck": "the next run stays in progress, for ever or for `seconds`",
    "throttled": "the next call for this flow is refused as one too many",
    "update_late": "UpdateFlow is applied `seconds` after its answer",
}
