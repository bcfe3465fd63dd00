"""Faults that a test orders: which operation fails, how, how often, and for whom."""

from collections.abc import Mapping
from dataclasses import dataclass

from adplatform.local.world import faults
from adplatform.local.world.faults import Kind

_REPORT = ("create_report", "get_report", "delete_report")
_SP_REPORT = ("sp_create", "sp_get", "sp_reports", "sp_cancel", "sp_document")
_EXPORT = ("create_export", "get_export")
ADS = ("profiles", *_REPORT, *_EXPORT)
SELLING_PARTNER = (*_SP_REPORT, "sp_restricted_token", "sp_participations")
OPERATIONS = ("token", *ADS, *SELLING_PARTNER, "download")


AT_ANY_REQUEST: Mapping[str, Kind] = {
    "throttle": Kind(
        "429 with Retry-After; without it at the Selling Partner API, 503 SlowDown at downloads", OPERATIONS
    ),
    "throttle_silent": Kind("429 without Retry-After; 503 SlowDown at downloads", OPERATIONS),
    "server_error": Kind("500 in the words of the API", OPERATIONS),
    "bad_gateway": Kind("502 with a page of HTML", OPERATIONS),
    "unavailable": Kind("503 in the words of the API", OPERATIONS),
    "gateway_timeout": Kind("504 with a page of HTML", OPERATIONS),
    "reset": Kind("does what was asked, then drops the connection before the answer", OPERATIONS),
    "drop": Kind("drops the connection and does nothing", OPERATIONS),
    "truncate": Kind("drops the connection in the middle of the body", OPERATIONS),
    "slow": Kind("answers after `seconds`", OPERATIONS),
    "unauthorized": Kind("refuses a good token: 401, at the Selling Partner API 403", (*ADS, *SELLING_PARTNER)),
    "expired_token": Kind("says that a good token has expired: 403", SELLING_PARTNER),
    "forbidden": Kind("403", ADS),
    "revoke_scope": Kind("401: no access to this profile any more", (*_REPORT, *_EXPORT)),
    "agency_profile": Kind("400: the profile is an agency's, of which there are no reports", ("create_report",)),
    "bad_request": Kind("400 that says nothing else", ("create_report", "sp_create")),
    "expired_secret": Kind("403: the client secret of the application has expired", SELLING_PARTNER),
    "access_denied": Kind("400", ("token",)),
    "invalid_client": Kind("401: the client secret is not good any more", ("token",)),
    "invalid_grant": Kind("400: the refresh token is not good any more", ("token",)),
    "invalid_request": Kind("400", ("token",)),
    "invalid_scope": Kind("400", ("token",)),
    "temporarily_unavailable": Kind("503", ("token",)),
    "unauthorized_client": Kind("400", ("token",)),
}
"""Those that need no knowledge of the operation."""
_ORDERS, _POLLS = ("create_report", "create_export", "sp_create"), ("get_report", "get_export", "sp_get")
FATES: Mapping[str, Kind] = {
    "fail": Kind("the report or export ends FAILED", ("create_report", "get_report", *_EXPORT)),
    "cancel": Kind("the report ends CANCELLED", ("sp_create", "sp_get")),
    "fatal": Kind("the report ends FATAL without a document", ("sp_create", "sp_get")),
    "fatal_document": Kind("the report ends FATAL with a document that says why", ("sp_create", "sp_get")),
    "stuck": Kind("ordered so: the report stays in the queue; at a poll: this answer says so", (*_ORDERS, *_POLLS)),
    "stuck_processing": Kind("as stuck, but in processing, where it cannot be cancelled", (*_ORDERS, *_POLLS)),
    "empty": Kind("the report is ready, but has no rows", _ORDERS),
    "duplicate_row": Kind("the last row of the report is there twice", ("create_report", "create_export")),
    "null_metrics": Kind("the first row of the report has null in the place of every number", ("create_report",)),
    "other_locale": Kind("the header of a report of listings is in the marketplace's language", ("sp_create",)),
    "other_end": Kind("the report says that it ends a day earlier than ordered, and does not", _ORDERS),
    "other_option": Kind("the report says that it was made with an option that nobody ordered", _ORDERS),
    "utf8_bom": Kind("the flat file is in UTF-8 with a byte order mark", ("sp_create",)),
    "lying_charset": Kind("the header says ISO-8859-1, whatever the flat file is in", ("sp_create",)),
    "carriage_return": Kind("a field of the flat file has a carriage return in it", ("sp_create",)),
    "grouped_thousands": Kind("prices of the flat file are written 12,345 from a thousand on", ("sp_create",)),
}
"""Those that stay with a report."""
_OF_ONE_OPERATION: Mapping[str, Kind] = {
    "duplicate_without_id": Kind("425 that names no report", ("create_report",)),
    "duplicate_foreign": Kind("425 that names a report of the other time unit", ("create_report",)),
    "bigger_range": Kind("the report begins a day earlier than ordered", ("create_report", "sp_create")),
    "complete_without_url": Kind("COMPLETED, but without URL", ("get_report", "get_export")),
    "forget": Kind("404", ("get_report", "get_export", "sp_get", "sp_document")),
    "expired_url": Kind(
        "the URL that is minted or used has expired: 403", ("get_report", "get_export", "sp_document", "download")
    ),
    "expired_session": Kind("the credentials that signed the URL have expired: 400 ExpiredToken", ("download",)),
    "cut": Kind("the first half of the document, as if it were the whole", ("download",)),
    "corrupt_gzip": Kind("a wrong checksum at the end of the document", ("download",)),
    "not_gzip": Kind("the document uncompressed", ("download",)),
    "error_text": Kind("a sentence in the place of the document", ("download",)),
    "identity_flagged_gzip": Kind("called GZIP, stored uncompressed", ("sp_document",)),
    "gzip_unflagged": Kind("stored as gzip, not called so", ("sp_document",)),
}
KINDS: Mapping[str, Kind] = {**AT_ANY_REQUEST, **FATES, **_OF_ONE_OPERATION}
MATCHED = ("region", "scope", "report_type", "report_id")


@dataclass
class Fault(faults.Fault):
    """One fault of this server. ``match`` is about ``scope``, ``report_type``, ``region`` or ``report_id``."""

    def __post_init__(self) -> None:
        self.check(OPERATIONS, KINDS, MATCHED)
