"""A network that misbehaves between a client and an HTTP server on this machine, the same way for the same seed."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adplatform_tests.support.proxy import Answer, Exchange, proxied

KINDS = ("lost_request", "lost_answer", "cut_answer", "twice", "throttled", "throttled_silently", "failed", "page")
_ANSWERS = {
    kind: Answer(status, headers, body, len(body))
    for kind, status, headers, body in (
        ("throttled", 429, [("Retry-After", "3")], b'{"code": "429", "detail": "Too Many Requests"}'),
        ("throttled_silently", 429, [], b""),
        ("failed", 500, [], b'{"code": "500", "detail": "Internal Server Error"}'),
        ("page", 200, [("Content-Type", "text/html")], b"<html><body>please log in to this network</body></html>"),
    )
}


@dataclass
class Chaos:
    """What happens to requests: a fault to each with ``probability``, while ``on``. ``spared`` are paths that no fault
    sends twice, because their server has no way to tell."""

    seed: int
    probability: float
    spared: tuple[str, ...] = ()
    on: bool = True
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random, self.lock = random.Random(self.seed), threading.Lock()

    def draw(self, path: str) -> tuple[str, float]:
        """A fault, "" for none, and the share of an answer's body that arrives if it is cut."""
        with self.lock:
            hit, kind, share = self.random.random(), self.random.choice(KINDS), self.random.random()
            if not self.on or hit >= self.probability or (kind == "twice" and path.endswith(self.spared)):
                return "", share
            self.happened.append(kind)
            return kind, share


@contextmanager
def disturbed(url: str, chaos: Chaos) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""

    def serve(exchange: Exchange) -> None:
        kind, share = chaos.draw(exchange.path)
        exchange.hang_up()
        if kind in _ANSWERS:
            exchange.reply(_ANSWERS[kind])
        elif kind != "lost_request":
            for _ in range(2 if kind == "twice" else 1):
                answer = exchange.forward()
            if kind != "lost_answer":
                whole = len(answer.body)
                exchange.reply(answer, arrives=int(whole * share) if kind == "cut_answer" else whole)

    with proxied(url, serve) as through:
        yield through
