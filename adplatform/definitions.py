"""The code location: everything declared below ``defs/``."""

import warnings
from pathlib import Path

import dagster as dg

from adplatform.contracts.yaml_files import require_readable


@dg.definitions
def defs() -> dg.Definitions:
    # Dagster itself passes the parameter when it gives resources to the jobs of a sensor; nothing here uses it. The
    # class is dagster-aws's own, of which every run would warn.
    for unused in ("Parameter `owners` of initializer `SensorDefinition", "Class `SecretsManagerResource`"):
        warnings.filterwarnings("ignore", unused, dg.BetaWarning)
    root = Path(__file__).parent
    require_readable(root / "defs")
    return dg.load_from_defs_folder(path_within_project=root)
