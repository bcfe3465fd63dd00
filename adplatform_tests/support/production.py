"""An environment like the image's: what its locked list installs, and the package without its local mode."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adplatform_tests.support.projects import ROOT

IMAGE = ROOT / "deploy" / "image"
UV = (str(Path(sys.executable).with_name("uv")), "--quiet", "pip")


@dataclass(frozen=True)
class Production:
    """``python`` is its interpreter."""

    python: Path

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A process of it, which knows nothing of this checkout or of this environment but what it is given."""
        return subprocess.run(
            [str(self.python), *arguments],
            env=self.environment(environment or {}),
            cwd=folder or self.python.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What its processes are started with."""
        return {"PATH": f"{self.python.parent}{os.pathsep}/usr/bin:/bin", "HOME": "/nonexistent", **given}


def make_production(folder: Path) -> Production:
    """The environment, made below ``folder`` as the Dockerfile makes it: hash-locked, and the wheel of what its context
    holds of the package. Packages come from uv's cache, where `make setup` has put them.

    Raises:
        CalledProcessError: a step of it failed; its output is on stderr.
    """
    python = folder / "environment" / "bin" / "python"
    _step(sys.executable, "-m", "venv", "--without-pip", str(folder / "environment"))
    _step(*UV, "sync", "--python", str(python), "--require-hashes", str(IMAGE / "requirements.lock"))
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "adplatform", source / "adplatform", ignore=ignored)
    for left_out in ignored_parts():
        shutil.rmtree(source / left_out)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    _step(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel"), folder=source)
    [wheel] = (folder / "wheel").glob("*.whl")
    _step(*UV, "install", "--python", str(python), "--no-deps", str(wheel))
    return Production(python)


def ignored_parts() -> list[str]:
    """What the image's context leaves out of the package."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("adplatform/")]


def _step(*command: str, folder: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
