"""Whether a request to the embedded AWS is signed with a key that it knows: Signature Version 4 in a header or in the
query, and Version 2 in the query, which boto3 still makes for presigned URLs of S3.

The signature covers method, path, query, the headers that the client names, and of every service but S3 the body, whose
hash is computed. Bodies of S3 are not: their clients send them unsigned or in chunks with signatures of their own, and
on loopback nobody stands between client and server who could change one.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, HmacV1QueryAuth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

CLOCK_SKEW = timedelta(minutes=15)
_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_MAY_BE_UNSIGNED = frozenset({"x-amz-user-agent"})
_WITHOUT_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}

SecretOf = Callable[[str], str | None]
"""The secret of an access key by its id; None if nobody has such a key."""


class Unsigned(Exception):
    """A request that nobody who may has signed. ``code`` is one of AWS's error codes; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature. ``signed`` are the names of headers, in lower case; ``expires`` is None
    where the query carries no signature."""

    key_id: str
    day: str
    region: str
    service: str
    timestamp: str
    signed: tuple[str, ...]
    signature: str
    expires: int | None = None

    @property
    def covers_body(self) -> bool:
        return self.service != "s3"


def claimed(environ: Mapping[str, Any]) -> Claim:
    """
    Raises:
        Unsigned: the request says nothing of a signature of Version 4, or nothing that can be understood.
    """
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    try:
        if authorization:
            return _of_header(authorization, str(environ.get("HTTP_X_AMZ_DATE", "")))
        query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        if "X-Amz-Signature" in query:
            return _of_query(query)
    except (ValueError, KeyError) as e:
        raise Unsigned("IncompleteSignature", "the signature is not one of AWS Signature Version 4") from e
    raise Unsigned(
        "MissingAuthenticationToken",
        "every request must be signed, with the access key in the file `credentials` of its data directory "
        "(AWS_SHARED_CREDENTIALS_FILE)",
    )


def verify(environ: Mapping[str, Any], claim: Claim, body: bytes, secret_of: SecretOf, now: datetime) -> None:
    """``body`` is looked at where the signature covers it.

    Raises:
        Unsigned: the signature is not that of the key, or its time is over.
    """
    secret = known_secret(claim.key_id, secret_of)
    _require_time(claim, now)
    _require_signed(environ, claim.signed)
    scope = f"{claim.day}/{claim.region}/{claim.service}/{_TERMINATOR}"
    canonical = hashlib.sha256(_canonical_request(environ, claim, body).encode()).hexdigest()
    signing = _signing_key(secret, claim.day, claim.region, claim.service)
    signed = "\n".join((_ALGORITHM, claim.timestamp, scope, canonical))
    expected = hmac.digest(signing, signed.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        raise _mismatch()


@lru_cache(maxsize=100)
def _signing_key(secret: str, *scope: str) -> bytes:
    """AWS documentation, "Create a signed AWS API request": one key for all requests of a day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def known_secret(key_id: str, secret_of: SecretOf) -> str:
    """
    Raises:
        Unsigned: nobody has such a key.
    """
    secret = secret_of(key_id)
    if secret is None:
        raise Unsigned(
            "InvalidAccessKeyId",
            "this embedded AWS has no such access key; its own is in the file `credentials` of its data directory",
        )
    return secret


def is_version_2(environ: Mapping[str, Any]) -> bool:
    return "HTTP_AUTHORIZATION" not in environ and "AWSAccessKeyId=" in environ["QUERY_STRING"]


def verify_version_2(environ: Mapping[str, Any], secret_of: SecretOf, now: datetime) -> None:
    """A presigned URL of S3 with a signature of Version 2.

    Raises:
        Unsigned: the signature is not that of the key, or its time is over.
    """
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    try:
        key_id, signature, expires = query["AWSAccessKeyId"], query["Signature"], int(query["Expires"])
    except (ValueError, KeyError) as e:
        raise Unsigned("AccessDenied", "the presigned URL is not complete") from e
    secret = known_secret(key_id, secret_of)
    if now.timestamp() > expires:
        raise Unsigned("AccessDenied", "Request has expired")
    headers = HTTPHeaders()
    given = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    given |= {name.lower(): value for name, value in query.items()}
    given |= {"content-type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
    for name, value in given.items():
        if name.startswith("x-amz-") or name in ("content-md5", "content-type"):
            headers[name] = value
    signer = HmacV1QueryAuth(Credentials(key_id, secret))
    signer._get_date = lambda: str(expires)
    expected = signer.get_signature(environ["REQUEST_METHOD"], urlsplit(environ["REQUEST_URI"]), headers, expires)
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise _mismatch()


def _mismatch() -> Unsigned:
    return Unsigned("SignatureDoesNotMatch", "the signature is not the one that the access key gives for this request")


def _of_header(authorization: str, timestamp: str) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    parts = {name: value for name, _, value in (part.strip().partition("=") for part in rest.split(","))}
    if algorithm != _ALGORITHM:
        raise ValueError(algorithm)
    key_id, day, region, service, _ = parts["Credential"].rsplit("/", 4)
    signed = tuple(parts["SignedHeaders"].split(";"))
    return Claim(key_id, day, region, service, timestamp, signed, parts["Signature"])


def _of_query(query: Mapping[str, str]) -> Claim:
    if query["X-Amz-Algorithm"] != _ALGORITHM:
        raise ValueError(query["X-Amz-Algorithm"])
    key_id, day, region, service, _ = query["X-Amz-Credential"].rsplit("/", 4)
    signed = tuple(query["X-Amz-SignedHeaders"].split(";"))
    expires = int(query["X-Amz-Expires"])
    return Claim(key_id, day, region, service, query["X-Amz-Date"], signed, query["X-Amz-Signature"], expires)


def _require_time(claim: Claim, now: datetime) -> None:
    try:
        signed_at = _moment(claim.timestamp)
    except ValueError as e:
        raise Unsigned("IncompleteSignature", "X-Amz-Date is missing, or no time") from e
    if claim.timestamp[:8] != claim.day:
        raise Unsigned("IncompleteSignature", "X-Amz-Date is not of the day that the key was made for")
    if signed_at - now > CLOCK_SKEW:
        raise Unsigned("RequestTimeTooSkewed", "the request was signed in the future")
    if claim.expires is None and now - signed_at > CLOCK_SKEW:
        raise Unsigned("RequestTimeTooSkewed", f"the request was signed more than {CLOCK_SKEW} ago")
    if claim.expires is not None and now > signed_at + timedelta(seconds=claim.expires):
        raise Unsigned("AccessDenied", "Request has expired")


@lru_cache(maxsize=16)
def _moment(timestamp: str) -> datetime:
    return datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC)


def _require_signed(environ: Mapping[str, Any], signed: tuple[str, ...]) -> None:
    """What says what to do must be signed: a presigned URL is no leave to do something else."""
    if "host" not in signed:
        raise Unsigned("IncompleteSignature", "the signature does not cover the host")
    given = {name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_X_AMZ_")}
    if given - _MAY_BE_UNSIGNED - set(signed):
        raise Unsigned("AccessDenied", "there were headers present in the request which were not signed")


def _canonical_request(environ: Mapping[str, Any], claim: Claim, body: bytes) -> str:
    """AWS documentation, "Create a signed AWS API request": how the client writes an escape does not matter, so path
    and query are decoded and encoded again."""
    path, _, query = environ["REQUEST_URI"].partition("?")
    if "://" in path:
        path = urlsplit(path).path
    headers = [f"{name}:{' '.join(_header(environ, name).split())}\n" for name in claim.signed]
    return "\n".join(
        (
            environ["REQUEST_METHOD"],
            _encoded(path, "/") if claim.service == "s3" else quote(normalize_url_path(path), safe="/~"),
            _canonical_query(query),
            "".join(headers),
            ";".join(claim.signed),
            _hash(environ, claim, body),
        )
    )


def _header(environ: Mapping[str, Any], name: str) -> str:
    value = str(environ.get(_WITHOUT_PREFIX.get(name) or f"HTTP_{name.upper().replace('-', '_')}", ""))
    if value.isascii():
        return value
    return value.encode("latin-1").decode("utf-8", "replace")


def _canonical_query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    kept = sorted((_encoded(name, ""), _encoded(value, "")) for name, _, value in pairs if name != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in kept)


def _encoded(text: str, safe: str) -> str:
    return quote(unquote_to_bytes(text), safe=safe)


def _hash(environ: Mapping[str, Any], claim: Claim, body: bytes) -> str:
    said = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if not claim.covers_body:
        return said or (hashlib.sha256().hexdigest() if claim.expires is None else _UNSIGNED)
    computed = hashlib.sha256(body).hexdigest()
    if said and said not in (computed, _UNSIGNED):
        raise Unsigned("SignatureDoesNotMatch", "the body is not the one whose hash the request states")
    return said or computed
