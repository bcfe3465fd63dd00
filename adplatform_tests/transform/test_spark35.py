"""The job of Spark as AWS Glue 5 runs it: Spark 3.5, pyarrow 17, and of the platform the job's own wheel alone."""

import json
import os
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.engines.spark_package import wheel
from adplatform.flow.engine_work import output_prefix, plan_key
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform.privacy.keys import fetch_key
from adplatform.transform.job_plan import OUTPUT, PLAN, RESULT, JobPlan, JobResult
from adplatform_tests.changes.test_spark_merges import EXACT, seen
from adplatform_tests.support.changes import followed_source
from adplatform_tests.support.merge_jobs import ByEngine
from adplatform_tests.support.spark_runs import clean_rows, needs_python_of_glue, put_delivery, result_of
from adplatform_tests.support.transform_jobs import with_spark
from adplatform_tests.transform.both_engines import agree, on_duckdb, outcome_of, plan_of
from adplatform_tests.transform.test_spark_job import CASES, COLUMNS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), needs_python_of_glue]
RUNS_ALL = f"""
import json, sys
from adplatform.jobs.spark import main
for plan, output in json.load(sys.stdin):
    main(["{PLAN}", plan, "{OUTPUT}", output, "--JOB_NAME", "adplatform-transform"])
"""
"""One session for all plans."""


def _parquet() -> bytes:
    table = pa.table(
        {
            "id": pa.array([1, 2, None, 4], pa.int32()),
            "note": pa.array(["a", None, "c", "d"], pa.large_string()),
            "uuid": pa.array([UUID(int=n).bytes for n in range(4)], pa.uuid()),
            "price": pa.array([Decimal("1.50"), None, Decimal("-2.25"), Decimal(3)], pa.decimal128(9, 2)),
            "seen": pa.array([0, 1_500_000, None, 2], pa.timestamp("us", "UTC")),
            "tags": [["x"], [], None, ["y", "z"]],
            "place": pa.DictionaryArray.from_arrays([0, 1, None, 0], ["DE", "FR"]),
        }
    )
    out = BytesIO()
    pq.write_table(table, out, row_group_size=2)
    return out.getvalue()


PARQUET = {
    "columns": {"id": {"type": "int", "required": True}, **dict.fromkeys(("note", "uuid", "tags", "place"), "string")}
    | {"price": "decimal(9,2)", "seen": {"type": "timestamp", "timezone": "UTC"}},
    "format": {"kind": "parquet"},
}
ALL = CASES | {"parquet": (PARQUET, {"a": _parquet()})}
NOTHING: Mapping[str, str] = {}


@pytest.fixture(scope="module")
def python() -> str:
    # Not resolved: what is installed is found by the link in the environment.
    found = str(Path.cwd() / os.environ.get("SPARK35_PYTHON", ".venv-spark35/bin/python"))
    if not Path(found).exists():
        pytest.skip("needs what `make spark35` installs, or SPARK35_PYTHON")
    return found


def run_all(python: str, package: Path, pairs: Sequence[tuple[str, str]], environ: Mapping[str, str] = NOTHING) -> None:
    """Run the job for each pair of a plan and a prefix for what is made of it."""
    settings = "--master local[2] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 pyspark-shell"
    own = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package),
        "PYSPARK_PYTHON": python,
        "PYSPARK_SUBMIT_ARGS": settings,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(
        [python, "-c", RUNS_ALL],
        input=json.dumps(pairs),
        cwd=package,
        env={**own, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[JobPlan, Path]]:
    """Of each case the plan, and the folder for what is made of it."""
    made = {}
    for name, (settings, contents) in ALL.items():
        folder = tmp_path_factory.mktemp("case")
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        contract = Contract.model_validate({"columns": COLUMNS} | settings)
        made[name] = plan_of(contract, [folder / file for file in contents]), folder
    return made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(BytesIO(wheel()[1])) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def results(python: str, package: Path, plans: Mapping[str, tuple[JobPlan, Path]]) -> Mapping[str, JobResult]:
    pairs = []
    for plan, folder in plans.values():
        (folder / "plan.json").write_text(plan.model_dump_json(), encoding="utf-8")
        pairs.append((str(folder / "plan.json"), f"{folder}/spark/"))
    run_all(python, package, pairs)
    return {
        name: JobResult.model_validate_json((folder / "spark" / RESULT).read_bytes())
        for name, (_, folder) in plans.items()
    }


@pytest.mark.parametrize("name", ALL)
def test_a_delivery_becomes_what_this_machine_makes_of_it(
    name: str, plans: Mapping[str, tuple[JobPlan, Path]], results: Mapping[str, JobResult], tmp_path: Path
) -> None:
    plan, _ = plans[name]
    agree(on_duckdb(plan, tmp_path / "duckdb"), outcome_of(results[name]))


def test_objects_are_read_and_written_and_the_key_is_fetched_by_the_clients_that_glue_has(
    python: str, package: Path, services: Services, tmp_path: Path
) -> None:
    provision(services, [])
    intention = Intention("crm", "transform-people", "crm/people/2026-03-14/v1/a1")
    put_delivery(services, intention, {"a": "id,email\n1,Ann@b.de\nx,c@d.de\n", "b": "id,email\n2,\n"})
    place = services.zones.raw_uri
    pair = place(plan_key(intention)), place(output_prefix(intention))
    run_all(python, package, [pair], _access(services))
    made = result_of(services, intention)
    rows = clean_rows(services, made, tmp_path)
    hashed = fetch_key(services.secrets, services.settings.hash_key_secret).hmac("ann@b.de")
    assert [(row["id"], row["email_lake"]) for row in rows] == [(1, hashed), (2, None)]
    assert (made.failure, dict(made.reasons)) == ("", {"bad_int:id": 1})


def _access(services: Services) -> dict[str, str]:
    key = services.aws.key
    assert key is not None
    return {
        "AWS_ENDPOINT_URL": str(services.aws.endpoint_url),
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": services.aws.region,
    }


def test_a_merge_comes_to_the_tables_that_this_machine_makes(python: str, package: Path, services: Services) -> None:
    services = with_spark(services)
    spark, local = (followed_source(services, [{**EXACT, "engine": engine}]) for engine in ("spark", "duckdb"))

    def job(services: Services, plan: str, output: str) -> None:
        place = services.zones.raw_uri
        run_all(python, package, [(place(plan), place(output))], _access(services))

    late: dict[int, dict[str, Any]] = {}
    for date in range(2):
        for shop in (spark, local):
            if date:
                shop.file(late[id(shop)], shop.change("I", id=4, status="again"), shop.change("D", id=9))
            else:
                shop.load(*({"id": n, "status": "long", "amount": Decimal(n)} for n in range(2, 20)))
                updates = [shop.change("U", id=2, amount=Decimal(n)) for n in range(20)]
                late[id(shop)] = shop.change("U", id=3, status="late")
                shop.file(*updates, shop.change("D", id=4), shop.change("U", id=3, amount=Decimal(33)))
            shop.process()
        made, here = ByEngine(spark, job).merge(), local.fold()
        assert made and here
        assert (made.changes, made.applied, made.rebuilt) == (here.changes, here.applied, here.rebuilt)
        assert seen(spark) == seen(local)
    assert made.rebuilt == 1
