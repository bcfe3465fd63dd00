"""The simulated SFTP host of this machine, as its partner uses it."""

import base64
import json

import httpx

from adplatform.flow.services import Services


def put_file(services: Services, secret: str, path: str, body: bytes) -> None:
    """Write a file there, under its final name once it is whole. ``secret`` is that of a source whose server it is."""
    told = json.loads(services.secrets.get_secret_value(SecretId=secret)["SecretString"])
    with httpx.Client(trust_env=False, timeout=60) as http:
        content = base64.b64encode(body).decode()
        http.post(f"{told['administration']}/files", json={"path": path, "base64": content}).raise_for_status()
