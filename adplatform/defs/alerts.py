"""Sensors that notify people of what breaks, wherever it breaks."""

import dagster as dg

from adplatform.components.assembly.alerts import build_alerts
from adplatform.platform.settings import read_settings


@dg.definitions
def alerts() -> dg.Definitions:
    on = read_settings().automation
    return dg.Definitions(
        sensors=build_alerts(dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED)
    )
