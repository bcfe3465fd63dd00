"""Sensors that notify people of what breaks, wherever it breaks, and one that measures what does not happen."""

from functools import cache, partial

import dagster as dg

from adplatform.components.assembly.alerts import build_alerts
from adplatform.components.assembly.measures import measures_sensor
from adplatform.contracts.alerts import faultless_alerts
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings


@dg.definitions
def alerts() -> dg.Definitions:
    settings = read_settings()
    if settings.alerts is not None:
        faultless_alerts(settings.alerts)
    status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    # What is declared is read when it is first measured, and does not change while this process lives.
    patterns = cache(partial(declared_patterns, settings))
    return dg.Definitions(sensors=[*build_alerts(status), measures_sensor(patterns, status)])
