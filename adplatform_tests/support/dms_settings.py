"""Settings of DMS for tests: those that pass, with changes."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from adplatform.engines.dms_settings.documents import Checked, source_endpoint, target_section, task_section
from adplatform.engines.dms_settings.mappings import read_mappings
from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)

TABLES = (("shop", "orders"), ("shop", "customers"))


def passing() -> Checked:
    """The settings that are recommended."""
    return Checked(
        target_section("endpoint.json", target_endpoint("lake", "landing/shop")),
        task_section("settings.json", task_settings()),
        read_mappings("mappings.json", table_mappings(TABLES)),
        endpoint=source_endpoint("endpoint.json", postgres_endpoint()),
    )


def with_target(**settings: Any) -> Checked:
    """They, with other members of S3Settings; one that is None is left out."""
    endpoint = target_endpoint("lake", "landing/shop")
    endpoint["S3Settings"] = _changed(endpoint["S3Settings"], settings)
    return replace(passing(), target=target_section("endpoint.json", endpoint))


def with_task(group: str, **settings: Any) -> Checked:
    """They, with other members of a group of task settings."""
    return with_groups({group: settings})


def with_groups(groups: Mapping[str, Mapping[str, Any]]) -> Checked:
    """They, with other members of several groups of task settings."""
    task = task_settings()
    for group, settings in groups.items():
        task[group] = _changed(task[group], settings)
    return replace(passing(), task=task_section("settings.json", task))


def with_source_endpoint(**settings: Any) -> Checked:
    endpoint = postgres_endpoint()
    endpoint["PostgreSQLSettings"] = _changed(endpoint["PostgreSQLSettings"], settings)
    return replace(passing(), endpoint=source_endpoint("endpoint.json", endpoint))


def with_mappings(change: Callable[[list[dict[str, Any]]], None]) -> Checked:
    """They, with rules that are changed."""
    rules = deepcopy(table_mappings(TABLES))
    change(rules["rules"])
    return replace(passing(), mappings=read_mappings("mappings.json", rules))


def with_rule(**rule: Any) -> Checked:
    """They, with one rule more; its words with underscores for hyphens."""
    added = {name.replace("_", "-"): value for name, value in rule.items()}
    return with_mappings(lambda rules: rules.append({"rule-id": "99", "rule-name": "99", **added}))


def _changed(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**settings, **changes}.items() if value is not None}
