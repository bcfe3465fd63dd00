"""The one lock of the embedded AWS.

moto's services are not thread-safe: two writers pass the same condition, and a message sent while another is deleted
disappears. Every request changes or reads state under this lock. It costs little, because the interpreter runs one
request at a time anyway; bodies are received and sent outside of it, and long polls release it while they wait.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOCK = threading.RLock()


@contextmanager
def released() -> Iterator[None]:
    """Lets others work while a request waits for somebody outside, as the wait on a condition does. Callers hold the
    lock, and look again at what they have read before."""
    held = LOCK._release_save()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        LOCK._acquire_restore(held)  # type: ignore[attr-defined]
