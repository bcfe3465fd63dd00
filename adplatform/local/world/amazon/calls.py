"""One request to the test server on its way through it, and the forms of answers."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from werkzeug.wrappers import Request, Response

from adplatform.local.world.amazon.world import World
from adplatform.local.world.faults import Fault

JSON = "application/json"


@dataclass
class Call:
    """A request for one operation. ``argument`` is the id in its path; ``about`` is what faults can match."""

    world: World
    request: Request
    operation: str
    region: str
    argument: str = ""
    about: dict[str, str] = field(default_factory=dict)

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.request.get_data())
        except ValueError:
            return None

    @property
    def now(self) -> datetime:
        return self.world.now()

    def fault(self, *kinds: str) -> Fault | None:
        """A fault of these kinds that was ordered for this request."""
        with self.world.lock:
            fault = self.world.faults.take(self.operation, self.about, kinds)
            self.world.changed |= fault is not None
            return fault


def answer(status: int, body: object, media_type: str = JSON) -> Response:
    """A JSON answer with a request id, as all of Amazon's APIs give one; of None an empty one."""
    text = "" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    response = Response(text.encode(), status, content_type=media_type)
    response.headers["x-amzn-RequestId"] = secrets.token_hex(16)
    return response


def instant(seconds: float) -> str:
    """Epoch seconds as the Ads API writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
