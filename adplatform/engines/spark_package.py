"""The package of the job of Spark: one wheel with the platform and with what it imports that AWS Glue
has not, so that a run installs nothing from elsewhere.

It is made of what is installed where it is made, which has to be of the Python that Glue runs. The same files make the
same wheel.

Facts: Glue developer guide, "Python modules already provided in AWS Glue" (5.0: boto3, numpy 1.26, pandas 2.2, pyarrow
17, tenacity; no pydantic, no typing_extensions, no PyYAML); Binary distribution format (packaging.python.org).
"""

import base64
import hashlib
import io
import platform
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

from adplatform.engines.declared_spark import FOLDER
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform.aws_errors import aws_failures

CARRIED = (
    *("annotated-types", "duckdb", "isal", "phonenumbers", "pydantic", "pydantic-core", "PyYAML", "sqlglot"),
    *("typing-extensions", "typing-inspection"),
)
"""Distributions that the job imports and Glue has not."""
_NAME = "adplatform_transform"
PYTHON = (3, 11)
"""Of Glue 5.0 and 5.1, and the newer one of EMR Serverless 7."""
MACHINE = "x86_64"
_TAG = "cp311-cp311-manylinux_2_28_x86_64"
"""That of DuckDB, the newest among what is carried. Glue runs on Amazon Linux 2023, which has glibc 2.34."""
DIGEST = "sha256"
"""The metadatum of an object of it that says what it was made of."""
_VERSION = version("adplatform")
PACKAGE_KEY = f"{FOLDER}{_NAME}-{_VERSION}-{_TAG}.whl"
"""Where the raw zone has it."""
_ABOUT = f"{_NAME}-{_VERSION}.dist-info/"
_RECORD = f"{_ABOUT}RECORD"
"""The list of all files in the wheel with the digest of each."""
_LEFT_OUT = ("local/", "defs/", "cli/", "components/", "resources/")
"""Parts of the platform that no job imports."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""Of every file in the wheel, so that nothing in it is of the moment."""
_LEVEL = 1
"""Of compression: 37 MB in 1.1 CPU-s, where the default of 6 makes 33 MB in 3.6."""


def put_package(services: Services) -> str:
    """Put the wheel into the raw zone, where one of other files or none is there; its place.

    Raises:
        PermanentFailure: it cannot be made here, or AWS refuses it.
    """
    content, zones = _content(), services.zones
    digest = hashlib.sha256(content[_RECORD]).hexdigest()
    place = zones.raw_uri(PACKAGE_KEY)
    with aws_failures(place):
        there = services.store.head(zones.raw_bucket, PACKAGE_KEY)
        if there is None or there.get("Metadata", {}).get(DIGEST) != digest:
            body = _zipped(content)
            services.s3.put_object(
                Bucket=zones.raw_bucket, Key=PACKAGE_KEY, Body=body, Metadata={DIGEST: digest}, **zones.put_arguments
            )
    return place


def wheel() -> tuple[str, bytes]:
    """The name of the wheel, and what it is.

    Raises:
        PermanentFailure: as :func:`require_target`, or something that it carries is not installed.
    """
    return PACKAGE_KEY.removeprefix(FOLDER), _zipped(_content())


def _content() -> dict[str, bytes]:
    """The files of the wheel, by their paths in it."""
    require_target()
    content = {**dict(carried(CARRIED)), **dict(platform_files())}
    content[f"{_ABOUT}METADATA"] = f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: {_VERSION}\n".encode()
    content[f"{_ABOUT}WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: adplatform\nRoot-Is-Purelib: false\nTag: {_TAG}\n".encode()
    )
    content[_RECORD] = _record(content)
    return content


def runs_here() -> bool:
    """Whether what is installed here runs there, too."""
    return sys.version_info[:2] == PYTHON and sys.platform == "linux" and platform.machine() == MACHINE


def require_target() -> None:
    """
    Raises:
        PermanentFailure: what is installed here is not for what the job runs on.
    """
    if not runs_here():
        wanted = ".".join(map(str, PYTHON))
        raise PermanentFailure(
            f"what the Spark job imports is packed with Python {wanted} on Linux of {MACHINE}, as Spark runs it: run "
            "`adplatform provision` there"
        )


def carried(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The files of installed distributions, by their paths below the folder of modules. Some, as DuckDB, ask for their
    own version when they are imported: it is found in the older form of metadata, because a wheel may have one
    ``.dist-info`` alone, its own (Binary distribution format; Python library reference, importlib.metadata).

    Raises:
        PermanentFailure: one is not installed.
    """
    for name in names:
        try:
            listed = files(name) or []
        except PackageNotFoundError as e:
            raise PermanentFailure(f"the Spark job carries {name}, which is not installed here") from e
        own = version(name)
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {own}\n"
        yield f"{name.replace('-', '_')}-{own}.egg-info/PKG-INFO", about.encode()
        for each in listed:
            path = each.as_posix()
            if not path.startswith("..") and "__pycache__" not in path and ".dist-info/" not in path:
                yield path, each.read_binary()


def platform_files() -> Iterator[tuple[str, bytes]]:
    """The files of the platform that a job may import."""
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root).as_posix()
        if path.is_file() and path.suffix != ".pyc" and not below.startswith(_LEFT_OUT):
            yield f"{root.name}/{below}", path.read_bytes()


def _record(content: Mapping[str, bytes]) -> bytes:
    lines = [f"{path},{_digest(body)},{len(body)}" for path, body in sorted(content.items())]
    return "\n".join([*lines, f"{_RECORD},,", ""]).encode()


def _digest(body: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip('=')}"


def _zipped(content: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in sorted(content.items()):
            entry = zipfile.ZipInfo(path, _WHEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body, zipfile.ZIP_DEFLATED, _LEVEL)
    return whole.getvalue()
