"""A copy of the project, for tests that declare sources and run commands as a user does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_project(target: Path) -> Path:
    target.mkdir()
    shutil.copytree(ROOT / "adplatform", target / "adplatform", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def adplatform(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "adplatform.cli", *arguments],
        cwd=project,
        env={**environment, "PYTHONPATH": str(project), "ADPLATFORM_HOME": str(project / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
