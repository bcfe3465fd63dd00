"""The package of the Spark job: whole by itself on what AWS Glue has, and the same as long as its files are."""

import csv
import io
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.engines import spark_package
from adplatform.engines.declared_spark import SCRIPT
from adplatform.engines.spark_package import PACKAGE_KEY, put_package, wheel
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.transform.job_plan import RESULT, JobPlan, JobResult, PlannedFile
from adplatform_tests.support.spark_runs import needs_python_of_glue

GLUE_HAS = (
    *("boto3", "botocore", "dateutil", "jmespath", "numpy", "pandas", "pyarrow", "pytz", "s3transfer", "six"),
    *("tenacity", "tzdata", "urllib3"),
)
"""Modules of Glue 5.0 (developer guide, "Python modules already provided in AWS Glue")."""
SPARK = ("py4j", "pyspark", "pysail", "google", "grpc", "grpc_status", "zstandard")
"""What Spark itself is made of, here with Sail."""

pytestmark = needs_python_of_glue
RUN = """
import os, runpy, sys

sys.path[:0] = sys.argv[1:3]
from pysail.spark import SparkConnectServer
server = SparkConnectServer(port=0)
server.start(background=True)
os.environ["SPARK_REMOTE"] = f"sc://127.0.0.1:{server.listening_address[1]}"
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
import adplatform
print(adplatform.__file__)
sys.stdout.flush()
os._exit(0)
"""
"""A Python that finds modules in two folders alone runs a script with Sail."""


@pytest.fixture(scope="module")
def made() -> tuple[str, bytes]:
    return wheel()


@pytest.fixture(scope="module")
def unpacked(made: tuple[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(io.BytesIO(made[1])) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def glue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules that Glue has, and those of Spark."""
    folder = tmp_path_factory.mktemp("glue")
    installed = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    for path in installed.iterdir():
        if path.name.partition(".")[0] in (*GLUE_HAS, *SPARK):
            (folder / path.name).symlink_to(path)
    return folder


def test_a_delivery_is_transformed_by_the_package_and_what_glue_has_alone(
    unpacked: Path, glue: Path, tmp_path: Path
) -> None:
    contract = Contract.model_validate(
        {
            "format": {"kind": "parquet"},
            "columns": {
                "id": {"type": "int", "required": True},
                "email": {"pii": {"kind": "email", "treatment": "meta"}},
                "phone": {"pii": {"kind": "phone", "treatment": "meta"}},
            },
        }
    )
    file = tmp_path / "orders.parquet"
    rows = {"id": ["1", "x", "2"], "email": ["a@b.de", "c@d.de", None], "phone": ["+49 30 901820", None, None]}
    pq.write_table(pa.table(rows), file)
    planned = PlannedFile(uri=str(file), origin=file.name, ordinal=0, size=file.stat().st_size)
    plan = JobPlan(contract=contract, day=date(2026, 3, 14), files=(planned,))
    (tmp_path / "plan.json").write_text(plan.model_dump_json())
    script = tmp_path / "transform.py"
    script.write_bytes(SCRIPT)
    output = f"{tmp_path}/out/"
    given = ["--plan", str(tmp_path / "plan.json"), "--output", output, "--JOB_NAME", "adplatform-transform"]

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", RUN, str(unpacked), str(glue), str(script), *given],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(unpacked)
    result = JobResult.model_validate_json((Path(output) / RESULT).read_bytes())
    assert not result.failure
    [count] = result.counts
    assert (count.rows_in, count.clean, count.quarantined) == (3, 2, 1)


def test_rows_are_merged_by_the_package_and_what_glue_has_alone(unpacked: Path, glue: Path) -> None:
    code = """
import sys
sys.path[:0] = sys.argv[1:]
from pathlib import Path
from adplatform.changes import spark_tasks
from adplatform.lake.keyed import merging
with merging(Path.cwd(), "100MB", 1) as con:
    print(con.execute("select 40 + 2").fetchone())
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(unpacked), str(glue)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("(42,)\n", "")


def test_the_wheel_says_of_each_file_what_it_is(made: tuple[str, bytes]) -> None:
    name, body = made
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        [record] = [each for each in archive.namelist() if each.endswith(".dist-info/RECORD")]
        lines = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert {line[0] for line in lines} == set(archive.namelist())
        for path, _, size in (line for line in lines if line[0] != record):
            assert archive.getinfo(path).file_size == int(size)
        assert (
            f"Tag: {name.removesuffix('.whl').partition('-cp311')[1].strip('-')}"
            in archive.read(record.replace("RECORD", "WHEEL")).decode()
        )
        assert not [each for each in archive.namelist() if each.startswith("adplatform/local/")]


def test_the_same_files_are_the_same_wheel_which_is_put_once(services: Services, made: tuple[str, bytes]) -> None:
    provision(services, [])
    place = put_package(services)
    key = place.removeprefix(services.zones.raw_uri(""))
    assert key == PACKAGE_KEY == f"jobs/transform/{made[0]}"
    assert services.s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read() == made[1]
    assert put_package(services) == place
    versions = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix=key)["Versions"]
    assert len(versions) == 1


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_package, "CARRIED", ("no-such-distribution",))
    with pytest.raises(PermanentFailure, match="carries no-such-distribution, which is not installed here"):
        wheel()
