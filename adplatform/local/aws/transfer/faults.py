"""What can go wrong with a connector or a server, for ``POST /_adplatform/engines``. The target is its id."""

from collections.abc import Mapping

OF_OPERATIONS: Mapping[str, str] = {
    "event_early": "the call that starts the next operation is answered after its events",
    "event_lost": "the events of the next operation are never sent",
    "event_twice": "the events of the next operation are sent twice",
    "late": "the next operation begins `seconds` late, by the clock of the engines; its files are QUEUED until then",
    "stuck": "the next operation stays in progress for `seconds`, 0 for ever; it holds no connection meanwhile",
}
OF_TRANSFERS: Mapping[str, str] = {
    "file_fails": "the first `count` files of the next transfer fail",
    "short_object": "the objects of the next transfer lack the last `count` bytes of their files; it says COMPLETED",
    "transfer_fails": "every file of the next transfer fails, as when the server is gone",
}
OF_LISTINGS: Mapping[str, str] = {
    "listing_lost": "the next listing writes no object and sends no event",
    "listing_truncated": "the next listing has `count` entries at most, whatever MaxItems says",
    "no_times": "the entries of the next listing have neither time nor size",
    "truncated_bool": "`truncated` of the next listing is a boolean and not a string",
}
"""All three are taken when an operation starts, and are its own from then on."""

OF_SERVERS: Mapping[str, str] = {
    "decrypt_limit": "the next decrypt step of the server fails for more than `count` bytes, not for more than 10 GiB",
    "empty_first": "the next upload puts an empty object first, when the file is opened",
    "rename_stops": "the next rename has copied the object and not deleted it when it fails",
    "workflow_dropped": "the next upload starts no workflow, as one above the rate does",
}

FAULTS: Mapping[str, str] = {
    **OF_SERVERS,
    **OF_OPERATIONS,
    **OF_TRANSFERS,
    **OF_LISTINGS,
    "answer_lost": "the next operation starts, but the connection ends before the answer",
    "connector_errored": "the connector is ERRORED for `seconds`, 0 for an hour",
    "connector_pending": "the connector is PENDING for `seconds`, 0 for an hour",
    "history_expired": "the results of all transfers of the connector that have ended are forgotten",
    "internal_error": "the next call about the connector fails with InternalServiceError and does nothing",
    "listing_rate": "3 listings a second are begun, more are refused, for `seconds`, 0 for an hour",
    "throttled": "the next call about the connector is refused; it may be tried again after `seconds`, 0 for 1",
    "unavailable": "the next call about the connector fails with ServiceUnavailableException and does nothing",
}
