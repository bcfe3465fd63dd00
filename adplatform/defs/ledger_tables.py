"""The ledger as tables, over all declared sources."""

from functools import cache, partial

import dagster as dg

from adplatform.components.assembly.ledger_tables import ledger_definitions
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings


@dg.definitions
def ledger_tables() -> dg.Definitions:
    settings = read_settings()
    status = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    return ledger_definitions(cache(partial(declared_patterns, settings)), status)
