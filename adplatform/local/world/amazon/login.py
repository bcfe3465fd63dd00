"""Login with Amazon: access tokens for refresh tokens."""

import hmac
from collections.abc import Mapping

from werkzeug.wrappers import Response

from adplatform.local.world.amazon.accounts import Api
from adplatform.local.world.amazon.calls import Call, answer
from adplatform.local.world.amazon.world import Credentials

_FORM = "application/x-www-form-urlencoded"
ERRORS: Mapping[str, tuple[int, str]] = {
    "access_denied": (400, "The resource owner or authorization server denied the request"),
    "invalid_client": (401, "Client authentication failed"),
    "invalid_grant": (400, "The request has an invalid grant parameter : refresh_token"),
    "invalid_request": (400, "The request is malformed"),
    "invalid_scope": (400, "The request has an invalid scope"),
    "server_error": (500, "An unexpected error occurred"),
    "temporarily_unavailable": (503, "The server is currently unable to handle the request"),
    "unauthorized_client": (400, "The client is not authorized to use this grant type"),
    "unsupported_grant_type": (400, "The authorization grant type is not supported"),
}
"""The error codes of Login with Amazon (``LWAExceptionErrorCode`` of Amazon's SDKs), each with status and text."""


def token(call: Call) -> Response:
    """``POST /auth/o2/token`` with a form body."""
    world, form = call.world, call.request.form
    if call.request.mimetype != _FORM:
        return refused("invalid_request", f"The Content-Type must be {_FORM}")
    missing = [name for name in ("grant_type", "client_id", "client_secret") if not form.get(name)]
    if missing:
        return refused("invalid_request", f"The request is missing a required parameter : {missing[0]}")
    api, login = _login(world.credentials, form["client_id"])
    if login is None or not _right(form["client_secret"], login):
        return refused("invalid_client")
    if form["grant_type"] == "client_credentials":
        if api != "selling_partner":
            return refused("unauthorized_client")
        if not form.get("scope", "").startswith("sellingpartnerapi::"):
            return refused("invalid_scope")
        return _issued(call, api, None)
    if form["grant_type"] != "refresh_token":
        return refused("unsupported_grant_type")
    if not form.get("refresh_token"):
        return refused("invalid_request", "The request is missing a required parameter : refresh_token")
    if login.revoked or not _same(form["refresh_token"], login.refresh_token):
        return refused("invalid_grant")
    world.requests.refreshes[api] += 1
    return _issued(call, api, login.refresh_token)


def _login(known: Mapping[Api, Credentials], client_id: str) -> tuple[Api, Credentials | None]:
    for api, login in known.items():
        if login.client_id == client_id:
            return api, login
    return "ads", None


def _right(secret: str, login: Credentials) -> bool:
    return any(_same(secret, valid) for valid in (login.secret, login.previous_secret) if valid)


def _same(given: str, valid: str) -> bool:
    return hmac.compare_digest(given.encode(), valid.encode())


def _issued(call: Call, api: Api, refresh_token: str | None) -> Response:
    """A token for a refresh token; without one it belongs to no seller and opens no reports."""
    body: dict[str, object] = {
        "access_token": call.world.issue(api, grantless=refresh_token is None),
        "token_type": "bearer",
        "expires_in": call.world.settings.token_seconds,
    }
    return answer(200, body if refresh_token is None else {**body, "refresh_token": refresh_token})


def refused(code: str, description: str = "", *, status: int = 0) -> Response:
    """An error as Login with Amazon words it; text and status are those of the code unless others are given."""
    usual, text = ERRORS[code]
    return answer(status or usual, {"error": code, "error_description": description or text})
