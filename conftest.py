"""What pytest must know before it looks for tests: options, profiles of hypothesis, and what every run records."""

import pytest

from adplatform_tests.support import recorded_calls, shares
from adplatform_tests.support.examples import register_profiles
from adplatform_tests.support.garbage import collect_rarely

collect_rarely()
register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    shares.add_option(parser)
    recorded_calls.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    recorded_calls.begin(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    shares.select(config, items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    recorded_calls.end(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    recorded_calls.explain(terminalreporter, config)
