"""Resources and the executor, bound once for the whole code location. Put your own in the place of any of them."""

import dagster as dg

from adplatform.platform.settings import read_settings
from adplatform.resources.named import resources_of


@dg.definitions
def platform() -> dg.Definitions:
    # One run is one delivery with two steps in sequence: a process per step would only add start-up time.
    return dg.Definitions(resources=resources_of(read_settings()), executor=dg.in_process_executor)
