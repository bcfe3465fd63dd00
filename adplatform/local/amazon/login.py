"""Login with Amazon: access tokens for refresh tokens."""

import hmac
from collections.abc import Mapping

from werkzeug.wrappers import Response

from adplatform.local.amazon.accounts import Api
from adplatform.local.amazon.calls import Call, answer
from adplatform.local.amazon.world import Credentials

_FORM = "application/x-www-form-urlencoded"


def token(call: Call) -> Response:
    """``POST /auth/o2/token`` with a form body."""
    world, form = call.world, call.request.form
    if call.request.mimetype != _FORM:
        return _refused(400, "invalid_request", "The Content-Type must be application/x-www-form-urlencoded")
    missing = [name for name in ("grant_type", "client_id", "client_secret") if not form.get(name)]
    if missing:
        return _refused(400, "invalid_request", f"The request is missing a required parameter : {missing[0]}")
    api, login = _login(world.credentials, form["client_id"])
    if login is None or not _right(form["client_secret"], login):
        return _refused(401, "invalid_client", "Client authentication failed")
    if form["grant_type"] == "client_credentials":
        if not form.get("scope", "").startswith("sellingpartnerapi::"):
            return _refused(400, "invalid_scope", "The request has an invalid scope")
        return _issued(call, api, None)
    if form["grant_type"] != "refresh_token":
        return _refused(400, "unsupported_grant_type", "The authorization grant type is not supported")
    if login.revoked or not _same(form.get("refresh_token", ""), login.refresh_token):
        return _refused(400, "invalid_grant", "The request has an invalid grant parameter : refresh_token")
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
    body: dict[str, object] = {
        "access_token": call.world.issue(api),
        "token_type": "bearer",
        "expires_in": call.world.settings.token_seconds,
    }
    return answer(200, body if refresh_token is None else {**body, "refresh_token": refresh_token})


def _refused(status: int, code: str, description: str) -> Response:
    return answer(status, {"error": code, "error_description": description})
