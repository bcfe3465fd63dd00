"""The simulated SFTP host, as its partner uses it."""

import gzip
import json
from pathlib import Path

from adplatform.flow.services import Services
from adplatform.local.world.host.server import serving
from adplatform.local.world.host.world import World
from adplatform.resources.simulated_host import put_file


def test_a_file_of_any_bytes_is_put_as_it_is(services: Services, tmp_path: Path) -> None:
    content = gzip.compress(b"id\n1\n") + bytes(range(256))
    secret = f"{services.settings.ledger_table}/host"
    with serving(World(tmp_path / "host.json")) as url:
        told = {"administration": f"{url}/_admin"}
        services.secrets.create_secret(Name=secret, SecretString=json.dumps(told))
        put_file(services, secret, "/out/a.csv.gz", content)
    assert (tmp_path / "files/out/a.csv.gz").read_bytes() == content
