"""The child process: an HTTP front on loopback before moto's dispatcher, and the loop that saves what changed."""

import io
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from flask import Flask, Response
from moto.core.request import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException, NotFound

from adplatform.failures import PermanentFailure
from adplatform.local.access_key import access_key
from adplatform.local.aws import (
    appflow,
    athena,
    clean_rooms,
    crawler,
    datasync,
    datazone,
    dms,
    dynamodb,
    emr,
    emr_runs,
    entity_resolution,
    glue,
    glue_jobs,
    managed,
    moto_costs,
    quicksight,
    redshift,
    s3,
    secrets,
    sns,
    sqs,
    transfer,
)
from adplatform.local.aws.admission import SERVICE, Admission
from adplatform.local.aws.bodies import Bodies
from adplatform.local.aws.errors import NotSaved, error_response
from adplatform.local.aws.http_server import Server
from adplatform.local.aws.persistence import Snapshots, written
from adplatform.local.aws.signatures import Unsigned
from adplatform.local.aws.state import LOCK
from adplatform.local.child import alone_in, recorded, stop_requested
from adplatform.local.endpoint import HEALTH_PATH
from adplatform.local.signed import ADMIN_PATH
from adplatform.platform.access_keys import remember_key
from adplatform.platform.loopback import is_loopback

_READ = re.compile(r"(Get|List|Describe|Head|BatchGet|Query|Scan|Search|TransactGet|Decrypt|Encrypt|Verify)")

_LATE = ("sagemaker", "ssm")
"""Services that moto takes long to load, which are loaded when somebody asks for them."""
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

log = logging.getLogger(__name__)


class Dispatcher(DomainDispatcherApplication):
    def __init__(self) -> None:
        super().__init__(_create_app)
        self._backends: dict[str, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host is None:
            return None
        # moto lists its own directory to answer this, for each request.
        backend = self._backends.get(host) or super().get_backend_for_host(host)
        if backend is None:
            raise NotImplementedError(f"the service {host.partition('.')[0]}")
        self._backends[host] = backend
        return backend

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> Any:
        """moto guesses the service of what no header signs."""
        if SERVICE in environ:
            return f"{environ[SERVICE]}.amazonaws.com"
        return super().infer_service_region_host(environ, path)


def _create_app(service: str) -> Any:
    if service in _LATE:
        import_module(f"adplatform.local.aws.{service}").install()
    app = create_backend_app(service)
    # moto's own API renders its answers with Flask.
    return app if service == "moto_api" else Service(service, app)


class _Request(Request):
    """What moto and we ask for several times a request is made once, and the URL without werkzeug's way by IRIs."""

    from_wsgi_server = True

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        self.headers = moto_costs.Headers(environ)

    @cached_property
    def raw_url(self) -> str:
        query = self.query_string.decode()
        return f"http://{self.host}{self.raw_path}{'?' if query else ''}{query}"

    @property
    def want_form_data_parsed(self) -> bool:
        """werkzeug makes a parser of forms for whatever has a content type."""
        return super().want_form_data_parsed and self.mimetype in _FORMS


class Service:
    """One service of moto as a WSGI application: the routes of its Flask application, answered without Flask, which
    takes a fifth of the time of a small request."""

    def __init__(self, service: str, app: Flask) -> None:
        self.service = service
        self._routes = app.url_map
        self._answers = {endpoint: view.callback for endpoint, view in app.view_functions.items()}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = _Request(environ)
        try:
            endpoint, _ = self._routes.bind(request.host).match(request.path, request.method)
            response = _response(request, self._answers[endpoint])
        except NotFound as e:
            raise NotImplementedError("this request") from e
        except HTTPException as e:
            response = e.get_response(environ)
        return response(environ, start_response)  # type: ignore[no-any-return]


def _response(request: _Request, answer: Callable[..., Any]) -> Any:
    """As ``moto.core.utils.convert_to_flask_response`` makes it."""
    try:
        result = answer(request, request.raw_url, dict(iter(request.headers)))
    except ClientError as e:
        result = 400, {}, e.response["Error"]["Message"]
    status, headers, content = result if len(result) == 3 else (200, {}, result)
    response = Response(content, status, headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    return response


class Front:
    """The WSGI application: routes to moto, holds the lock around it, notes what changed, and words the errors."""

    def __init__(self, snapshots: Snapshots, admission: Admission) -> None:
        self._moto = Dispatcher()
        self._snapshots = snapshots
        self._admission = admission
        self.ending = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            self._admission.require_no_page(environ)
            if environ["PATH_INFO"] == HEALTH_PATH:
                status = "503 Service Unavailable" if self.ending else "200 OK"
                start_response(status, [("Content-Type", "application/json")])
                return [json.dumps({"unsaved": self._snapshots.unsaved()}).encode()]
            self._admission.require_signature(environ, _received)
        except Unsigned as e:
            self._admission.note(environ, e)
            return error_response(environ, start_response, 403, e.code, str(e), last=True)
        if environ["PATH_INFO"] == ADMIN_PATH:
            return _administered(environ, start_response)
        try:
            _refuse_reset(environ)
            return self._serve(environ, start_response)
        except NotSaved as e:
            return error_response(environ, start_response, 503, "NotSaved", str(e))
        except NotImplementedError as e:
            message = f"the embedded AWS does not implement it: {e}"
            return error_response(environ, start_response, 501, "NotImplemented", message)
        except Exception as e:
            # 501 and not 500: moto failed on this request and would again, so clients must not retry it.
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return error_response(environ, start_response, 501, "InternalFailure", f"{type(e).__name__}: {e}")

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        app = self._moto.get_application(environ)
        is_s3 = app.service == "s3"
        if is_s3:
            _declare_object(environ)
        body = b"" if is_s3 else _received(environ)
        writes = not _only_reads(environ, body)
        # S3 does the same itself, after it has received the body.
        with nullcontext() if is_s3 else written(self._snapshots, app.service) if writes else LOCK:
            return app(environ, start_response)  # type: ignore[no-any-return]


def _administered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    with LOCK:
        status, said = managed.administer(environ["REQUEST_METHOD"], _received(environ))
    start_response(f"{status} {'OK' if status == 200 else 'Bad Request'}", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def _refuse_reset(environ: dict[str, Any]) -> None:
    """Of moto's own API only the state transitions are served: a reset would delete everything."""
    path = environ["PATH_INFO"]
    if path.startswith("/moto-api") and not path.startswith("/moto-api/state-manager/"):
        raise NotImplementedError(f"moto's own {path}")


def _declare_object(environ: dict[str, Any]) -> None:
    """Some HTTP clients call every body a form; moto would parse it as one and store nothing."""
    if environ["REQUEST_METHOD"] == "PUT" and "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        environ["CONTENT_TYPE"] = "binary/octet-stream"


def _received(environ: dict[str, Any]) -> bytes:
    """The whole request body, so that no client is waited for under the lock."""
    length = environ.get("CONTENT_LENGTH")
    body = b""
    if length:
        body = environ["wsgi.input"].read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _only_reads(environ: dict[str, Any], body: bytes) -> bool:
    action = re.search(rb"(?:^|&)Action=(\w+)", environ["QUERY_STRING"].encode() or body[:4096])
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1] or (action.group(1).decode() if action else "")
    if operation:
        return _READ.match(operation) is not None
    # Services with a JSON body and a path for each operation read by POST, too.
    if environ["REQUEST_METHOD"] == "POST" and re.fullmatch(r"/(describe|list)-[a-z-]+", environ["PATH_INFO"]):
        return True
    return environ["REQUEST_METHOD"] in {"GET", "HEAD", "OPTIONS"}


def serve(data: Path, host: str, port: int, owner_pid: int, save_every: float) -> None:
    """Serves the embedded AWS until SIGTERM, the end of stdin or the end of the process ``owner_pid``, and saves its
    state every ``save_every`` seconds and at the end. The caller ends the process at once: what is asked meanwhile
    waits, so that nothing is acknowledged any more.

    Raises:
        PermanentFailure: ``host`` is not loopback, the state is damaged, another process serves ``data``, or in the end
            not everything could be saved.
    """
    if not is_loopback(host):
        raise PermanentFailure(
            f"the embedded AWS refuses to listen on {host!r}: only a loopback address such as 127.0.0.1 keeps its "
            "data on this machine."
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    with alone_in(data):
        key = access_key(data)
        bodies = Bodies(data / "s3")
        snapshots = Snapshots(data / "state", bodies)
        managed.CONTROL.data = data
        _install(bodies, snapshots)
        snapshots.load()
        s3.after_load()
        crawler.after_load()
        glue_jobs.after_load()
        emr.after_load()
        entity_resolution.after_load()
        athena.after_load()
        redshift.after_load()
        front = Front(snapshots, Admission(key))
        server = Server(host, port, front)
        managed.CONTROL.endpoint_url = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
        managed.CONTROL.key = key
        remember_key(managed.CONTROL.endpoint_url, key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        appflow.resume()
        datasync.resume(data / "shares")
        transfer.resume()
        dms.resume()
        quicksight.resume()
        with recorded(data, managed.CONTROL.endpoint_url):
            _save_until(stop_requested(), snapshots, owner_pid, save_every)
            front.ending = True
            # Held until the process ends: nothing may be acknowledged that the last snapshot does not contain.
            LOCK.acquire()
            snapshots.save()
            failure = snapshots.failure()
        if failure is not None:
            raise PermanentFailure(f"{failure}. What was written since the last save is lost")


def _install(bodies: Bodies, snapshots: Snapshots) -> None:
    moto_costs.install()
    s3.install(bodies, lambda: written(snapshots, "s3"))
    sns.install()
    sqs.install()
    secrets.install()
    dynamodb.install()
    datasync.install()
    glue.install(lambda: snapshots.changed("glue"))
    emr.install(lambda: snapshots.changed(emr_runs.SAVED_AS))
    managed.CONTROL.changed = snapshots.changed
    managed.CONTROL.saved = snapshots.saved_since
    appflow.install()
    dms.install()
    transfer.install()
    entity_resolution.install()
    quicksight.install()
    redshift.install()
    clean_rooms.install()
    datazone.install()
    athena.install()


def _save_until(stop: threading.Event, snapshots: Snapshots, owner_pid: int, save_every: float) -> None:
    pause = save_every
    # A process forked from the owner may keep stdin open; the parent's id tells the owner's end all the same.
    while not stop.wait(pause) and os.getppid() == owner_pid:
        started = time.monotonic()
        snapshots.save()
        pause = max(save_every, 5 * (time.monotonic() - started))
