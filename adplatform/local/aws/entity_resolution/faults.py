"""What can go wrong with a workflow, for ``POST /_adplatform/engines``."""

from collections.abc import Mapping

from adplatform.local.aws import modelled

FAULTS: Mapping[str, str] = {
    **modelled.FAULTS,
    "history_expired": "jobs that have ended are gone from the next look on",
    "no_records": "the next ListMatchingJobs shows none",
    "on_page_2": "the first page of the next ListMatchingJobs is empty",
    "records_refused": "`count` records of the next job are not processed",
    "run_fails": "the next job fails, because its role may not read",
    "stuck": "the next job stays in progress, for ever or for `seconds`",
}
