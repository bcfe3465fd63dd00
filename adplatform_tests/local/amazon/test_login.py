"""Login with Amazon: which logins give a token, and how the others are refused."""

import pytest

from adplatform.local.amazon.accounts import DEMO_CREDENTIALS
from adplatform.local.amazon.server import Server
from adplatform_tests.local.amazon.support import HTTP, login


def test_refresh_token_gives_access_token_and_comes_back(server: Server) -> None:
    answered = login(server.url, "ads")
    body = answered.json()
    assert answered.status_code == 200
    assert body["access_token"].startswith("Atza|")
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert body["refresh_token"] == DEMO_CREDENTIALS["ads"].refresh_token
    assert server.world.requests.refreshes == {"ads": 1}


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "unknown"}, 401, "invalid_client"),
        ({"refresh_token": "Atzr|other"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "invalid_scope"),
    ],
)
def test_wrong_logins(server: Server, changed: dict[str, str], status: int, error: str) -> None:
    answered = login(server.url, "ads", **changed)
    assert (answered.status_code, answered.json()["error"]) == (status, error)


def test_only_a_form_body_is_read(server: Server) -> None:
    app = DEMO_CREDENTIALS["ads"]
    values = {"grant_type": "refresh_token", "client_id": app.client_id, "client_secret": app.client_secret}
    assert HTTP.post(f"{server.url}/auth/o2/token", json=values).json()["error"] == "invalid_request"
    assert HTTP.post(f"{server.url}/auth/o2/token", params=values).status_code == 400


def test_grantless_token_has_no_refresh_token(server: Server) -> None:
    scope = "sellingpartnerapi::notifications"
    body = login(server.url, "selling_partner", grant_type="client_credentials", scope=scope).json()
    assert "refresh_token" not in body


def test_withdrawn_permission_and_rotated_secret(server: Server) -> None:
    server.world.revoke("ads")
    assert login(server.url, "ads").json()["error"] == "invalid_grant"
    server.world.revoke("ads", revoked=False)
    new = server.world.rotate_secret("ads")
    assert login(server.url, "ads", client_secret=new).status_code == 200
    assert login(server.url, "ads").status_code == 200, "the previous secret is still good"
    newer = server.world.rotate_secret("ads", keep_previous=False)
    assert login(server.url, "ads", client_secret=new).status_code == 401
    assert login(server.url, "ads", client_secret=newer).status_code == 200


def test_credentials_are_not_shown() -> None:
    assert "secret-of" not in repr(DEMO_CREDENTIALS)
    assert "Atzr|" not in repr(DEMO_CREDENTIALS)
