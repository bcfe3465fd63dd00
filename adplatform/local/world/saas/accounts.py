"""Who may log in to the simulated CRM."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class App:
    """One connected app and the refresh token of the user who authorised it."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


DEMO_APP = App("3MVG9demo.connected.app", "demo-secret-of-the-connected-app", "5Aep8demo-refresh-token")
"""What clients of the default server log in with. It opens nothing but that server."""
MANAGED_APP = "aws-managed-appflow"
"""The client id of AppFlow's own app, which has a refresh token but no secret that its users know."""
