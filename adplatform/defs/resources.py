"""Resources and the executor, bound once for the whole code location."""

import dagster as dg

from adplatform.resources.services import services_resource


@dg.definitions
def platform() -> dg.Definitions:
    # One run is one delivery with two steps in sequence: a process per step would only add start-up time.
    return dg.Definitions(resources={"services": services_resource}, executor=dg.in_process_executor)
