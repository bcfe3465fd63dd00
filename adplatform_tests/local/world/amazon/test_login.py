"""Login with Amazon: which logins give a token, and how the others are refused."""

import pytest

from adplatform.local.world.amazon.accounts import DEMO_CREDENTIALS
from adplatform.local.world.amazon.server import Server
from adplatform_tests.local.world.amazon.support import HTTP, Selling, login


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
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "unauthorized_client"),
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


def test_a_grantless_token_opens_no_sellers_data(server: Server) -> None:
    grantless = {"grant_type": "client_credentials", "scope": "sellingpartnerapi::notifications"}
    body = login(server.url, "selling_partner", **grantless).json()
    assert "refresh_token" not in body
    assert Selling(server, token=body["access_token"]).get("1").status_code == 403
    assert login(server.url, "selling_partner", **{**grantless, "scope": "profile"}).json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *((code, 400) for code in ("access_denied", "invalid_grant", "invalid_request", "invalid_scope")),
        *(
            ("unauthorized_client", 400),
            ("invalid_client", 401),
            ("server_error", 500),
            ("temporarily_unavailable", 503),
        ),
    ],
)
def test_every_error_of_login_with_amazon_can_be_ordered(server: Server, error: str, status: int) -> None:
    server.world.fault("token", error)
    answered = login(server.url, "ads")
    assert (answered.status_code, answered.json()["error"]) == (status, error)
    assert answered.json()["error_description"]
    assert login(server.url, "ads").status_code == 200


def test_login_throttles_in_its_own_words(server: Server) -> None:
    server.world.fault("token", "throttle")
    answered = login(server.url, "ads")
    assert (answered.status_code, answered.headers["Retry-After"]) == (429, "1")
    assert set(answered.json()) == {"error", "error_description"}


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
