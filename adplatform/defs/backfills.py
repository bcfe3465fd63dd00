"""The sensor that launches backfills of what is to be made again, over all declared sources."""

from functools import cache, partial

import dagster as dg

from adplatform.components.assembly.backfills import backfills_sensor
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings


@dg.definitions
def backfills() -> dg.Definitions:
    settings = read_settings()
    status = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
    return dg.Definitions(sensors=[backfills_sensor(cache(partial(declared_patterns, settings)), status)])
