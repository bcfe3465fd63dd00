"""The code location: everything declared below ``defs/``."""

import warnings
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    # Dagster itself passes this parameter when it gives resources to the jobs of a sensor; nothing here uses it.
    warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
