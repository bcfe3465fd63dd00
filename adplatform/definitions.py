"""The code location: everything declared below ``defs/``."""

import warnings
from pathlib import Path

import dagster as dg
from dagster._core.log_manager import DagsterLogHandler

from adplatform.contracts.yaml_files import require_readable
from adplatform.platform.garbage import collected_rarely
from adplatform.platform.json_logs import log_as_json
from adplatform.platform.settings import read_settings


@dg.definitions
def defs() -> dg.Definitions:
    # Dagster itself passes the parameter when it gives resources to the jobs of a sensor; nothing here uses it. The
    # class is dagster-aws's own, and the handler of log lines that of the deployed instance: every run would warn.
    for unused in (
        "Parameter `owners` of initializer `SensorDefinition",
        "Class `SecretsManagerResource`",
        "Handling yaml-defined",
    ):
        warnings.filterwarnings("ignore", unused, dg.BetaWarning)
    if read_settings().env == "aws":
        # In a run Dagster has our lines, and hands them to the handler that its instance has for that.
        log_as_json(DagsterLogHandler)
    root = Path(__file__).parent
    require_readable(root / "defs")
    with collected_rarely():
        return dg.load_from_defs_folder(path_within_project=root)
