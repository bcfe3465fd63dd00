"""What a run of EMR Serverless finds as its Python: the modules of the archive that it names, those of Spark, and
nothing else that this machine has installed.

The Python is that of this machine without its packages, whatever the run names; the archive is unpacked as Spark does
it, beside the script, where executors of this machine find it, too.
"""

import re
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from venv import EnvBuilder

from adplatform.local.aws import scripts
from adplatform.local.aws.scripts import Script

_CONF = re.compile(r"--conf\s+([^\s=]+)=(\S+)")
_DRIVER = "spark.emr-serverless.driverEnv."
_SPARK = ("pyspark", "py4j", "pysail", "google", "grpc", "grpc_status", "zstandard")
"""Modules that Spark is made of, here with Sail."""


def with_archive(script: Script, parameters: str, folder: Path) -> Script:
    """The script with what it is given by ``sparkSubmitParameters``.

    Raises:
        ClientError: there is no such archive.
    """
    conf = dict(_CONF.findall(parameters))
    if "spark.archives" not in conf:
        return script
    place, _, name = conf["spark.archives"].partition("#")
    packed = folder / "archive"
    scripts.fetch(place, packed)
    with tarfile.open(packed) as archive:
        # Filters came with Python 3.11.4; without them the platform's own archive is taken as it is.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder / name)  # noqa: S202 - packed by the platform
    packed.unlink()
    told = {key.removeprefix(_DRIVER): value for key, value in conf.items() if key.startswith(_DRIVER)}
    return replace(
        script, python=_plain_python(folder / "python"), environment={**script.environment, **_modules(told, folder)}
    )


def _modules(told: Mapping[str, str], folder: Path) -> dict[str, str]:
    """``PYTHONPATH``, with Spark's behind that of the run."""
    spark = folder / "spark"
    spark.mkdir()
    for module in _SPARK:
        found = find_spec(module)
        for place in (found.submodule_search_locations or ()) if found else ():
            if not (spark / module).exists():
                (spark / module).symlink_to(place)
    return {"PYTHONPATH": ":".join([*(str(folder / each) for each in told["PYTHONPATH"].split(":")), str(spark)])}


def _plain_python(folder: Path) -> str:
    EnvBuilder(symlinks=True).create(folder)
    return str(folder / "bin" / "python")
