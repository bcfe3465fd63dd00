"""What code imports is what is installed where it runs; read from the code, because a late import shows late."""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adplatform_tests.support.locks import needed_by
from adplatform_tests.support.projects import ROOT

PACKAGE = ROOT / "adplatform"
ALL_FILES = sorted(PACKAGE.rglob("*.py"))
FILES = [each for each in ALL_FILES if "local" not in each.relative_to(PACKAGE).parts]
SPARK = {"pyspark", "py4j", "pandas"}
"""What the services bring that run Spark; imported by functions that run there."""
SAIL = {"pysail"}
"""What the embedded AWS runs Spark with where it is installed."""
STAND_INS = {"resources/simulated_world.py", "cli/demo.py"}
"""What is imported only where there is a local mode."""


def _imports(tree: ast.Module, *, late: bool) -> Iterator[str]:
    """The modules that are imported when this one is; ``late``, all that are imported at some time."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        if not late and _waits(node):
            continue
        todo += ast.iter_child_nodes(node)


def _waits(node: ast.AST) -> bool:
    """Whether what the node holds does not run when its module is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _found(files: Iterable[Path], *, late: bool) -> dict[str, set[str]]:
    return {path.relative_to(PACKAGE).as_posix(): set(_imports(_tree(path), late=late)) for path in files}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("extra", "files", "brought"),
    [("aws", FILES, SPARK), pytest.param("local", ALL_FILES, SPARK | SAIL, marks=pytest.mark.slow)],
    ids=["production", "demo"],
)
def test_code_imports_only_packages_that_are_installed_where_it_runs(
    extra: str, files: list[Path], brought: set[str]
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"][extra]]
    installed = needed_by(map(Requirement, declared))
    distributions = packages_distributions()
    foreign = {
        (file, package)
        for file, modules in _found(files, late=True).items()
        for package in {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - brought
        if package != "adplatform"
        if not {canonicalize_name(each) for each in distributions.get(package, ())} & installed
    }
    assert foreign == set()


def test_nothing_of_spark_or_of_the_local_mode_is_imported_before_it_is_used() -> None:
    early = {
        (file, module)
        for file, modules in _found(FILES, late=False).items()
        for module in modules
        if module.partition(".")[0] in SPARK or (f"{module}.".startswith("adplatform.local.") and file not in STAND_INS)
    }
    assert early == set()
