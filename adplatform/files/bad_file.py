"""A delivered file that cannot be used, and why: one failure for every step between the landing and the clean zone."""

from enum import StrEnum
from typing import TYPE_CHECKING

from adplatform.failures import MAX_TEXT, PermanentFailure, clipped

if TYPE_CHECKING:
    from adplatform.contracts.schema_change import SchemaChange


class Reason(StrEnum):
    """Why a file was refused. The value is what the ledger, the quarantine and metrics show."""

    NOT_ENCRYPTED = "not_encrypted"
    ENCRYPTED = "encrypted"
    """Encrypted although the feed has no ``pgp``, or encrypted twice."""
    WRONG_KEY = "wrong_key"
    NOT_INTEGRITY_PROTECTED = "not_integrity_protected"
    SEVERAL_MESSAGES = "several_messages"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_SIGNER = "unknown_signer"
    EXPIRED_SIGNATURE = "expired_signature"
    REVOKED_SIGNER = "revoked_signer"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    UNEXPECTED_COMPRESSION = "unexpected_compression"
    UNSUPPORTED = "unsupported"
    UNSAFE_ARCHIVE = "unsafe_archive"
    ENCODING = "encoding"
    SYNTAX = "syntax"
    LAYOUT = "layout"
    """Header, columns or container format are not those of the contract."""


class BadFile(PermanentFailure):
    """One file cannot be used; the others of its delivery may be good.

    ``message`` is for the person who must act: it says what is wrong, where, and what to do, without content. Where its
    columns are not those of the contract, ``changes`` are how they differ.
    """

    def __init__(self, origin: str, reason: Reason, message: str, changes: "tuple[SchemaChange, ...]" = ()) -> None:
        super().__init__(origin, reason, message)
        self.origin = origin
        self.reason = reason
        self.message = message
        self.changes = changes

    def __str__(self) -> str:
        return f"{clipped(self.origin, MAX_TEXT // 2)}: {clipped(self.message, MAX_TEXT // 3)} [{self.reason}]"
