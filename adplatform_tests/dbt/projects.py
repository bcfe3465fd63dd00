"""dbt in an environment of its own, which sees nothing of the platform but exported files and published Parquet."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import duckdb
import pytest
import yaml

PACKAGES = ("amazon_ads", "fivetran_utils", "dbt_utils")


@dataclass(frozen=True)
class Project:
    """A dbt project on DuckDB. ``python`` is that of the environment with dbt."""

    python: Path
    directory: Path

    @property
    def models(self) -> Path:
        return self.directory / "models"

    def with_packages(self, packages: Path, directory: Path) -> "Project":
        """A copy of the project with the packages of dbt in ``packages``."""
        copy = Project(self.python, Path(copytree(self.directory, directory)))
        file = copy.directory / "dbt_project.yml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "packages-install-path": str(packages)}))
        return copy

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of what dbt has made."""
        with duckdb.connect(str(self.directory / "dbt.duckdb"), read_only=True) as made:
            return made.sql(sql).fetchall()

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "target" / "manifest.json").read_text())
        return found

    def results(self) -> dict[str, str]:
        """What became of each node of the last command."""
        found = json.loads((self.directory / "target" / "run_results.json").read_text())
        return {each["unique_id"]: each["status"] for each in found["results"]}

    def run(self, *arguments: str, passes: bool = True) -> str:
        """What a command of dbt prints."""
        done = self._python("-m", "dbt.cli.main", *arguments, "--no-use-colors")
        assert (done.returncode == 0) is passes, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    def script(self, text: str, *arguments: str) -> Any:
        """What a script of Python prints as JSON."""
        done = self._python("-c", text, *arguments)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return json.loads(done.stdout.splitlines()[-1])

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DAGSTER_HOME")}
        environment |= {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_PROFILES_DIR": str(self.directory)}
        command = [str(self.python), *arguments]
        return subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)


def found_python() -> Path:
    found = Path.cwd() / os.environ.get("DBT_PYTHON", ".venv-dbt/bin/python")
    if not found.exists():
        pytest.skip("needs what `make dbt` installs, or DBT_PYTHON")
    return found


def packages_of(python: Path) -> Path:
    """The packages of dbt beside an environment."""
    packages = python.parents[1] / "packages"
    if any(not (packages / each / "dbt_project.yml").exists() for each in PACKAGES):
        pytest.skip(f"needs {', '.join(PACKAGES)} in {packages}, which `make dbt` fetches where github.com is reached")
    return packages


def make_project(python: Path, directory: Path, variables: dict[str, Any]) -> Project:
    project = {"name": "shop", "profile": "shop", "vars": variables}
    (directory / "models").mkdir(parents=True)
    output = {"type": "duckdb", "path": "dbt.duckdb", "threads": 2}
    profiles = {"shop": {"target": "here", "outputs": {"here": output}}}
    (directory / "dbt_project.yml").write_text(yaml.safe_dump(project))
    (directory / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return Project(python, directory)
