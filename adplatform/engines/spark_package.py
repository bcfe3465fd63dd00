"""The package of the job that transforms deliveries: one wheel with the platform and with what it imports that AWS Glue
has not, so that a run installs nothing from elsewhere.

It is made of what is installed where it is made, which has to be of the Python that Glue runs. The same files make the
same wheel.

Facts: Glue developer guide, "Python modules already provided in AWS Glue" (5.0: boto3, numpy 1.26, pandas 2.2, pyarrow
17, tenacity; no pydantic, no typing_extensions, no PyYAML); Binary distribution format (packaging.python.org).
"""

import base64
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

from adplatform.engines.declared_spark import FOLDER
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform.aws_errors import aws_failures

CARRIED = (
    *("annotated-types", "isal", "phonenumbers", "pydantic", "pydantic-core", "PyYAML", "sqlglot"),
    *("typing-extensions", "typing-inspection"),
)
"""Distributions that the job imports and Glue has not."""
_NAME = "adplatform_transform"
PYTHON = (3, 11)
"""Of Glue 5.0 and 5.1."""
_TAG = "cp311-cp311-manylinux_2_17_x86_64"
_DIGEST = "sha256"
PACKAGE_KEY = f"{FOLDER}{_NAME}-{version('adplatform')}-{_TAG}.whl"
"""Where the raw zone has it."""
_LEFT_OUT = ("local/", "defs/", "cli/", "components/", "resources/")
"""Parts of the platform that no job imports."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""Of every file in the wheel, so that nothing in it is of the moment."""


def put_package(services: Services) -> str:
    """Put the wheel into the raw zone, where another or none is there; its place.

    Raises:
        PermanentFailure: it cannot be made here, or AWS refuses it.
    """
    body = wheel()[1]
    digest, zones = hashlib.sha256(body).hexdigest(), services.zones
    place = zones.raw_uri(PACKAGE_KEY)
    with aws_failures(place):
        there = services.store.head(zones.raw_bucket, PACKAGE_KEY)
        if there is None or there.get("Metadata", {}).get(_DIGEST) != digest:
            services.s3.put_object(
                Bucket=zones.raw_bucket, Key=PACKAGE_KEY, Body=body, Metadata={_DIGEST: digest}, **zones.put_arguments
            )
    return place


def wheel() -> tuple[str, bytes]:
    """The name of the wheel, and what it is.

    Raises:
        PermanentFailure: another Python than Glue's runs here, or something that it carries is not installed.
    """
    if sys.version_info[:2] != PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise PermanentFailure(f"the package of the Spark job is made with Python {wanted}, which Glue runs")
    own = version("adplatform")
    about = f"{_NAME}-{own}.dist-info/"
    content = {**dict(_carried()), **dict(_platform())}
    content[f"{about}METADATA"] = f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: {own}\n".encode()
    content[f"{about}WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: adplatform\nRoot-Is-Purelib: false\nTag: {_TAG}\n".encode()
    )
    content[f"{about}RECORD"] = _record(content, f"{about}RECORD")
    return f"{_NAME}-{own}-{_TAG}.whl", _zipped(content)


def _carried() -> Iterator[tuple[str, bytes]]:
    for name in CARRIED:
        try:
            listed = files(name) or []
        except PackageNotFoundError as e:
            raise PermanentFailure(f"the package of the Spark job carries {name}, which is not installed here") from e
        for each in listed:
            path = each.as_posix()
            if not path.startswith("..") and "__pycache__" not in path and ".dist-info/" not in path:
                yield path, each.read_binary()


def _platform() -> Iterator[tuple[str, bytes]]:
    root = Path(__file__).parents[1]
    for path in root.rglob("*"):
        below = path.relative_to(root).as_posix()
        if path.is_file() and path.suffix != ".pyc" and not below.startswith(_LEFT_OUT):
            yield f"{root.name}/{below}", path.read_bytes()


def _record(content: Mapping[str, bytes], own: str) -> bytes:
    lines = [f"{path},{_digest(body)},{len(body)}" for path, body in sorted(content.items())]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _digest(body: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip('=')}"


def _zipped(content: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in sorted(content.items()):
            entry = zipfile.ZipInfo(path, _WHEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body, zipfile.ZIP_DEFLATED)
    return whole.getvalue()
