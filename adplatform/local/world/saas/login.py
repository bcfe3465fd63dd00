"""OAuth 2.0 as a Salesforce-shaped CRM speaks it: access tokens for refresh tokens and for client credentials."""

import hmac
import secrets
from collections.abc import Mapping

from werkzeug.wrappers import Response

from adplatform.local.world.saas.accounts import MANAGED_APP
from adplatform.local.world.saas.calls import Call, answer

ERRORS: Mapping[str, tuple[int, str]] = {
    "inactive_user": (400, "user is inactive"),
    "invalid_client": (400, "invalid client credentials"),
    "invalid_client_id": (400, "client identifier invalid"),
    "invalid_grant": (400, "expired access/refresh token"),
    "invalid_request": (400, "missing required parameter"),
    "unsupported_grant_type": (400, "grant type not supported"),
}


def token(call: Call) -> Response:
    """``POST /services/oauth2/token`` with a form body."""
    world, form = call.world, call.request.form
    app, grant = world.app, form.get("grant_type", "")
    if grant not in ("refresh_token", "client_credentials"):
        return refused("unsupported_grant_type" if grant else "invalid_request")
    managed = form.get("client_id") == MANAGED_APP and grant == "refresh_token"
    if not managed and not _same(form.get("client_id", ""), app.client_id):
        return refused("invalid_client_id")
    if not managed and not _same(form.get("client_secret", ""), app.client_secret):
        return refused("invalid_client")
    good = grant == "client_credentials" or _same(form.get("refresh_token", ""), app.refresh_token)
    if world.revoked or not good:
        return refused("invalid_grant")
    return answer(
        200,
        {
            "access_token": world.issue(),
            "instance_url": call.request.host_url.rstrip("/"),
            "id": f"{call.request.host_url}id/00DAd000000demoEAA/005Ad000000demoEAA",
            "token_type": "Bearer",
            "issued_at": str(int(call.now.timestamp() * 1000)),
            "signature": secrets.token_urlsafe(24),
        },
    )


def refused(code: str) -> Response:
    status, text = ERRORS[code]
    return answer(status, {"error": code, "error_description": text})


def _same(given: str, valid: str) -> bool:
    return hmac.compare_digest(given.encode(), valid.encode())
