"""The machine on services in memory, for many histories, and on the embedded AWS, for what the fakes may get wrong."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from adplatform.platform.aws import Aws
from adplatform.platform.settings import Settings
from adplatform_tests.flow.machine import SettlingMachine
from adplatform_tests.flow.world import fake_world, real_world
from adplatform_tests.support.examples import examples

SLOW_IS_FINE = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.hypothesis
def test_everything_that_arrives_is_published_once_whatever_fails() -> None:
    run_state_machine_as_test(
        lambda: SettlingMachine(fake_world()),
        settings=settings(SLOW_IS_FINE, max_examples=examples(12), stateful_step_count=40),
    )


@pytest.mark.hypothesis
def test_the_embedded_aws_agrees(aws: Aws, tmp_path: Path) -> None:
    names = Settings(env="local", home=tmp_path, raw_bucket="settling-raw", ledger_table="settling-ledger")
    run_state_machine_as_test(
        lambda: SettlingMachine(real_world(aws, names)),
        settings=settings(SLOW_IS_FINE, max_examples=examples(1), stateful_step_count=10, database=None),
    )
