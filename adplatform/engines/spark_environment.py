"""What runs of EMR Serverless import: one archive of modules, which Spark unpacks beside the driver and beside each
executor. The Python is that of the service.

It is made of what is installed where it is made, which has to be of the Python and the processor that the application
has. The same files make the same archive.

Facts: EMR Serverless user guide, "Using Python libraries" (``spark.archives``), "Spark job properties"
(``spark.emr-serverless.driverEnv``, ``spark.executorEnv``); Spark documentation, "Python Package Management" (files of
``--py-files`` cannot hold compiled modules, archives can). Images of EMR Serverless 7.13 have ``/usr/bin/python3.11``
beside the 3.9 of Amazon Linux.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from tempfile import TemporaryFile
from typing import IO

from adplatform.engines.declared_spark import FOLDER
from adplatform.engines.engine import Finding
from adplatform.engines.spark_package import CARRIED, DIGEST, carried, platform_files, require_target
from adplatform.flow.services import Services
from adplatform.lake.zones import Zones
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings

PYTHON = "/usr/bin/python3.11"
"""Of the images of EMR Serverless."""
ARCHITECTURE = "X86_64"
"""Of the application, as the service calls what compiled modules here are made for."""
ENVIRONMENT_KEY = f"{FOLDER}environment-{version('adplatform')}-cp311-x86_64.tar.gz"
"""Where the raw zone has the archive."""
BROUGHT = (
    *CARRIED,
    *("boto3", "botocore", "jmespath", "numpy", "pandas", "pyarrow", "python-dateutil", "s3transfer", "six"),
    *("tenacity", "tzdata", "urllib3"),
)
"""Distributions that the job and pyspark import."""
_FOLDER = "environment"
"""As which it is unpacked."""
_LEFT_OUT = ("/tests/", "/include/")
_DATA, _CALLED = "botocore/data/", ("s3", "secretsmanager", "sts")
"""Descriptions of services are half of what botocore has; only these are called."""
_LEVEL = 1
"""Of gzip: 92 MB instead of the 81 of level 6, at a third of its work."""


def put_environment(services: Services) -> None:
    """Put the archive into the raw zone, where another or none is there.

    Raises:
        PermanentFailure: it cannot be made here, or AWS refuses it.
    """
    require_target()
    digest, zones = _digest(), services.zones
    with aws_failures(zones.raw_uri(ENVIRONMENT_KEY)):
        there = services.store.head(zones.raw_bucket, ENVIRONMENT_KEY)
        if there is not None and there.get("Metadata", {}).get(DIGEST) == digest:
            return
        with TemporaryFile() as file:
            _pack(file)
            file.seek(0)
            services.s3.put_object(
                Bucket=zones.raw_bucket,
                Key=ENVIRONMENT_KEY,
                Body=file,
                Metadata={DIGEST: digest},
                **zones.put_arguments,
            )


def environment_findings(services: Services, of: str) -> list[Finding]:
    """Whether there is an archive of this release; ``of`` begins what is found."""
    place = services.zones.raw_uri(ENVIRONMENT_KEY)
    with aws_failures(place):
        if services.store.is_there(services.zones.raw_bucket, ENVIRONMENT_KEY):
            return []
    return [Finding(f"{of}: what its runs import, {place}, is missing: `adplatform provision` puts it there")]


def submit_parameters(settings: Settings, zones: Zones) -> str:
    """What EMR Serverless gives to spark-submit with each run."""
    modules = f"./{_FOLDER}"
    conf = {
        "spark.archives": f"{zones.raw_uri(ENVIRONMENT_KEY)}#{_FOLDER}",
        "spark.emr-serverless.driverEnv.PYTHONPATH": modules,
        "spark.executorEnv.PYTHONPATH": modules,
        "spark.pyspark.python": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
        "spark.dynamicAllocation.maxExecutors": str(settings.spark_workers),
    }
    return " ".join(f"--conf {name}={value}" for name, value in conf.items())


def _content() -> Iterator[tuple[str, bytes]]:
    for path, body in carried(BROUGHT):
        service = path.removeprefix(_DATA).partition("/")
        described = path.startswith(_DATA) and service[1] and service[0] not in _CALLED
        if not described and not any(part in f"/{path}" for part in _LEFT_OUT):
            yield path, body
    yield from platform_files()


def _digest() -> str:
    whole = hashlib.sha256()
    for path, body in _content():
        whole.update(f"{path} {len(body)} ".encode() + hashlib.sha256(body).digest())
    return whole.hexdigest()


def _pack(file: IO[bytes]) -> None:
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path, body in _content():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(body), 0o644
            archive.addfile(entry, io.BytesIO(body))
