"""What each answer of Amazon's means, with the texts that it sends."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.amazon.answers import AnswerKind, Meaning, error_text, meaning

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
ID = "a15115d8-3da4-49a4-95d5-cc0a3af5f85d"


def said(status: int, body: Any = b"", **headers: str) -> Meaning:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return meaning(status, {k.replace("_", "-"): v for k, v in headers.items()}, content, NOW)


def ads(status: int, detail: str) -> Meaning:
    return said(status, {"code": str(status), "detail": detail})


def sp(status: int, code: str, message: str, details: str = "") -> Meaning:
    return said(status, {"errors": [{"code": code, "message": message, "details": details}]})


DENIED = "Access to requested resource is denied."


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (said(200, {"reportId": ID}), AnswerKind.OK),
        (said(202, {"reportId": "1"}), AnswerKind.OK),
        (said(207, {"success": []}), AnswerKind.OK),
        (said(200, b""), AnswerKind.OK),
        (said(204, b" \n"), AnswerKind.OK),
        (said(200, b'{"reportId": "a15115'), AnswerKind.TRANSIENT),
        (said(200, b"<html>Log in to the hotel's network</html>"), AnswerKind.TRANSIENT),
        (said(301, b"", location="https://elsewhere"), AnswerKind.TRANSIENT),
        (said(302, b"", location="https://elsewhere"), AnswerKind.TRANSIENT),
        (said(307), AnswerKind.TRANSIENT),
        (ads(400, "configuration columns includes invalid values: (x)"), AnswerKind.INVALID),
        (sp(400, "InvalidInput", "Invalid marketplace"), AnswerKind.INVALID),
        (ads(401, "Invalid or expired access token"), AnswerKind.UNAUTHORIZED),
        (said(401, {"code": "401", "details": "Authentication failed"}), AnswerKind.UNAUTHORIZED),
        (said(401), AnswerKind.UNAUTHORIZED),
        (ads(401, "Not authorized to access scope 3184075526400117"), AnswerKind.FORBIDDEN),
        (ads(401, "No matching advertiser found for scope"), AnswerKind.FORBIDDEN),
        (ads(401, "Scope header is missing"), AnswerKind.FORBIDDEN),
        (said(401, {"code": "401", "details": "Not authorized to manage this profile."}), AnswerKind.FORBIDDEN),
        (sp(403, "Unauthorized", DENIED, "The access token you provided has expired."), AnswerKind.UNAUTHORIZED),
        (sp(403, "Unauthorized", DENIED, "The access token you provided is malformed."), AnswerKind.UNAUTHORIZED),
        (said(403, {"message": "The security token included in the request is expired"}), AnswerKind.UNAUTHORIZED),
        (sp(403, "Unauthorized", DENIED), AnswerKind.FORBIDDEN),
        (
            sp(403, "Unauthorized", DENIED, "The LWA secret token you provided has expired."),
            AnswerKind.SECRET_EXPIRED,
        ),
        (ads(400, "Advertiser ID cannot be decrypted"), AnswerKind.FORBIDDEN),
        (ads(400, "Invalid Advertiser or Marketplace ID."), AnswerKind.NOT_OFFERED),
        (ads(400, "Bad Request"), AnswerKind.NOT_OFFERED),
        (sp(400, "InvalidInput", "Bad Request"), AnswerKind.NOT_OFFERED),
        (sp(400, "BadRequest", ""), AnswerKind.INVALID),
        (ads(400, "Bad Request: configuration columns includes invalid values"), AnswerKind.INVALID),
        (ads(400, "Neither LWA secret nor token has expired"), AnswerKind.INVALID),
        (ads(403, "Forbidden"), AnswerKind.FORBIDDEN),
        *((said(status, b"\n<html>Request blocked</html>"), AnswerKind.TRANSIENT) for status in (400, 403, 404, 418)),
        (said(401, b"<html>Log in</html>"), AnswerKind.UNAUTHORIZED),
        (ads(404, "Report not found"), AnswerKind.GONE),
        (said(406), AnswerKind.INVALID),
        (said(408), AnswerKind.TRANSIENT),
        (sp(413, "InvalidInput", "too large"), AnswerKind.INVALID),
        (ads(415, "Cannot consume content type"), AnswerKind.INVALID),
        (ads(422, "Unprocessable Entity"), AnswerKind.INVALID),
        (ads(425, f"The Request is a duplicate of : {ID}"), AnswerKind.DUPLICATE),
        (ads(429, "Too Many Requests"), AnswerKind.THROTTLED),
        (sp(429, "QuotaExceeded", "You exceeded your quota for the requested resource."), AnswerKind.THROTTLED),
        (said(429, b"<html>slow down</html>"), AnswerKind.THROTTLED),
        (ads(500, "Internal Server Error"), AnswerKind.TRANSIENT),
        (said(502, b"<html><h1>502 Bad Gateway</h1></html>"), AnswerKind.TRANSIENT),
        (sp(503, "InternalFailure", "We encountered an internal error."), AnswerKind.TRANSIENT),
        (said(504), AnswerKind.TRANSIENT),
        (said(599, b"\xff\xfe\x00"), AnswerKind.TRANSIENT),
    ],
)
def test_what_an_answer_means(found: Meaning, answer: AnswerKind) -> None:
    assert found.kind is answer


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (f"The Request is a duplicate of : {ID}", ID),
        (f"The Request is a duplicate of: {ID}.", ID),
        (f"the request is a DUPLICATE OF {ID}, which is PENDING", ID),
        ("The Request is a duplicate of : 1234", "1234"),
        ("The Request is a duplicate of : ", ""),
        ("The Request is a duplicate of an existing request", ""),
        ("Too early", ""),
    ],
)
def test_the_report_that_an_order_duplicates(text: str, report: str) -> None:
    for found in (ads(425, text), said(425, text.encode())):
        assert (found.kind, found.duplicate_of) == (AnswerKind.DUPLICATE, report)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("Fri, 20 Nov 2026 18:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 17:00:00 GMT", 0.0),
        *((garbage, None) for garbage in ("", "-5", "soon", "²", "nan", "inf", "1e3", "7 8", "0x10", "Fri, 99 Nov")),
        ("Fri, 20 Nov 2026 18:00:00 +99999999999999", None),
    ],
)
@pytest.mark.parametrize("status", [425, 429, 503])
def test_retry_after(status: int, header: str, seconds: float | None) -> None:
    assert said(status, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"code": "400", "detail": "A"}, "A"),
        ({"code": "400", "details": "B", "requestId": "1"}, "B"),
        ({"message": "C"}, "C"),
        ({"Message": "D"}, "D"),
        ({"error": "invalid_grant", "error_description": "E"}, "E"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"code": "UNPROCESSABLE", "detail": None}, "UNPROCESSABLE"),
        ({"errors": [{"code": "a", "message": "b", "details": ""}, {"code": "c", "details": "d"}]}, "a b; c d"),
        ({"errors": ["a", None, {"code": "b"}]}, "a; None; b"),
        ({"errors": [], "message": "F"}, "F"),
        ([{"code": "400", "details": "G"}, {"details": "H"}], "G; H"),
        ("Forbidden", "Forbidden"),
        (None, ""),
        ({}, ""),
        (b"", ""),
        (b"plain\n  words", "plain words"),
        (b"<html><style>p { color: red }</style><body>\n<h1>502 Bad Gateway</h1><hr>nginx", "502 Bad Gateway nginx"),
        (b"[" * 100_000, "[" * 300),
    ],
)
def test_amazons_explanation_from_any_body(body: Any, text: str) -> None:
    assert error_text(body if isinstance(body, bytes) else json.dumps(body).encode()) == text


def test_a_long_list_of_allowed_columns_is_not_cut() -> None:
    columns = ", ".join(f"columnWithAName{n}" for n in range(250))
    detail = f"configuration columns includes invalid values: (x). Allowed values: ({columns})"
    assert ads(400, detail).text == detail
    assert len(ads(400, "x" * 1_000_000).text) == 8_000


@pytest.mark.parametrize(
    "body",
    [
        b"Authorization header requires 'Credential' parameter. Authorization=Bearer Atza|IwEBIS3CR3T",
        json.dumps({"message": "Invalid key=value pair: 'Bearer Atza|IwEBIS3CR3T'"}).encode(),
        b'{"detail": "https://storage/a.gz?X-Amz-Date=1&X-Amz-Signature=S3CR3T"}',
        b'{"detail": "https://storage/a.gz?X-Amz-Security-Token=S3CR3T&x=1"}',
        b"refresh_token=Atzr%7CS3CR3T",
        b"token Atz.sprdt|S3CR3T, and more",
        b"bearer S3CR3T",
        b"password S3CR3T",
    ],
)
def test_secrets_that_amazon_repeats_are_struck_out(body: bytes) -> None:
    found = error_text(body, "S3CR3T-of-another", "password S3CR3T")
    assert found
    assert "S3CR3T" not in found


def test_a_broken_body_of_a_good_answer_is_not_shown() -> None:
    assert said(200, b'{"url": "https://storage/a.gz?X-Amz-Sig').text == "HTTP 200 with a body that is no JSON"
