"""Snapshots of moto's services, one file each, pickled. Only files whose checksum is right are unpickled.

What was acknowledged is saved at the next save, or writes are refused from then on until a save works again: a client
never hears yes to more than one interval of work that a crash would lose.
"""

import copyreg
import io
import logging
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dill
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from moto.backends import get_backend
from moto.core.base_backend import BackendDict

from adplatform.local.aws.bodies import Bodies
from adplatform.local.aws.errors import NotSaved
from adplatform.local.aws.snapshot_file import damaged, read_snapshot, write_snapshot
from adplatform.local.aws.state import LOCK

log = logging.getLogger(__name__)

# Services that a request to another one may change, too.
SIDE_EFFECTS = {"events": ("logs", "sqs"), "s3": ("events", "logs", "sns", "sqs"), "sns": ("sqs",)}


class Snapshots:
    """The snapshots of all services below one directory."""

    def __init__(self, directory: Path, bodies: Bodies) -> None:
        self._directory = directory
        self._bodies = bodies
        self._changed: set[str] = set()
        self._being_saved: set[str] = set()
        self._failures: dict[str, Exception] = {}
        self._begun: dict[str, float] = {}

    def changed(self, service: str) -> None:
        """Notes that the next ``save`` must write ``service``, a moto service name, and what it delivers to."""
        used = {known.service_name for known in BackendDict._instances}
        self._changed.update((service, *used.intersection(SIDE_EFFECTS.get(service, ()))))

    def unsaved(self) -> list[str]:
        """The services whose snapshots are behind."""
        return sorted(self._changed | self._being_saved)

    def saved_since(self, service: str, moment: float) -> bool:
        """Whether all that had changed of the service at a moment of the monotonic clock is saved."""
        return service not in self.unsaved() or self._begun.get(service, 0.0) > moment

    def failure(self) -> str | None:
        """Why the last save did not write everything, and what to do; None if it did."""
        failures = dict(self._failures)
        if not failures:
            return None
        reasons = {_reason(failure) for failure in failures.values()}
        return (
            f"the state of {', '.join(sorted(failures))} cannot be saved in {self._directory}: "
            f"{'; '.join(sorted(reasons))}. Free space there or mend what is wrong; saving is tried again by itself"
        )

    def require_saved(self, service: str) -> None:
        """Refuses a write after a failed save: every one if the disk failed, those of a service whose state cannot be
        expressed as a snapshot.

        Raises:
            NotSaved: the last save failed.
        """
        failures = dict(self._failures)
        if service in failures or any(isinstance(failure, OSError) for failure in failures.values()):
            raise NotSaved(f"writes are refused: {self.failure()}")

    def save(self) -> None:
        """Writes every service that changed since its last snapshot, and tries again what failed before: one service
        that cannot be written must not end the endpoint or keep others from being written."""
        for service in sorted(self._changed):
            self._being_saved.add(service)
            try:
                self._save(service)
            except Exception as e:
                self._changed.add(service)
                if service not in self._failures:
                    log.exception("the state of %s is not saved", service)
                self._failures[service] = e
            else:
                self._failures.pop(service, None)
                self._being_saved.discard(service)

    def load(self) -> None:
        """Restores every service that has a snapshot.

        Raises:
            PermanentFailure: a snapshot is damaged, or another minor version of moto wrote it.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        payloads = {path: read_snapshot(path) for path in sorted(self._directory.glob("*.snapshot"))}
        for path, payload in payloads.items():
            _restore(path, payload)

    def _save(self, service: str) -> None:
        with LOCK:
            begun = time.monotonic()
            self._changed.discard(service)
            payload = _dumped(service)
            discarded = self._bodies.discarded() if service == "s3" else 0
        write_snapshot(self._directory / f"{service}.snapshot", payload)
        self._begun[service] = begun
        self._bodies.delete_discarded(discarded)


@contextmanager
def written(snapshots: Snapshots, service: str) -> Iterator[None]:
    """Holds the lock while something of the service may change, and notes that before it is released: by the time of an
    answer the next save knows, also the last one, which takes the lock for good.

    Raises:
        NotSaved: the last save failed.
    """
    with LOCK:
        snapshots.require_saved(service)
        try:
            yield
        finally:
            snapshots.changed(service)


def _reason(failure: Exception) -> str:
    return str(failure.strerror) if isinstance(failure, OSError) else f"{type(failure).__name__}: {failure}"


def _dumped(service: str) -> bytes:
    state = {
        account: {region: backend.__dict__ for region, backend in regions.items()}
        for account, regions in get_backend(service).items()
    }
    for known in BackendDict._instances:
        copyreg.pickle(known.backend, _reduce_backend)
    try:
        return pickle.dumps(state, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Some services keep lambdas, which only dill can write.
        return bytes(dill.dumps(state))


class _Unpickler(dill.Unpickler):
    """Reads snapshots of releases whose embedded AWS lay in ``adplatform.local`` itself, too."""

    def find_class(self, module: str, name: str) -> Any:
        package, _, last = module.rpartition(".")
        return super().find_class(f"{__package__}.{last}" if package == "adplatform.local" else module, name)


def _restore(path: Path, payload: bytes) -> None:
    try:
        # Our own file, and its checksum is right.
        state = _Unpickler(io.BytesIO(payload)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError) as e:
        raise damaged(path) from e
    for account, regions in state.items():
        for region, attributes in regions.items():
            get_backend(path.stem)[account][region].__dict__.update(attributes)


def _reduce_backend(backend: Any) -> tuple[Any, ...]:
    """Topics and others hold their backend: a restored copy of it would live beside the real one."""
    service = next(known.service_name for known in BackendDict._instances if type(backend) is known.backend)
    return _live_backend, (service, backend.account_id, backend.region_name)


def _live_backend(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]


def _reduce_key(key: Any) -> tuple[Any, ...]:
    return _loaded_key, (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),)


def _loaded_key(pem: bytes) -> Any:
    return load_pem_private_key(pem, password=None)


copyreg.pickle(openssl.rsa.RSAPrivateKey, _reduce_key)
copyreg.pickle(openssl.ec.ECPrivateKey, _reduce_key)
