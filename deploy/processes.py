"""The kinds of tasks of which Dagster consists on ECS: their commands, sizes and checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adplatform.platform import names

_CODE, _WEB = 4000, 3000
_JSON = ("--log-format", "json")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - of a task whose security group lets in who may
WORKSPACE = "/opt/dagster/workspace.yaml"


@dataclass(frozen=True)
class Process:
    """One kind of task. ``cpu`` are units of 1/1024 of a CPU, ``memory`` and ``disk`` MiB and GiB."""

    name: str
    role: str
    cpu: int
    memory: int
    command: Sequence[str]
    port: int | None = None
    health: Sequence[str] = ()
    family: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None

    @property
    def log_group(self) -> str:
        return f"{names.LOG_PREFIX}{self.name}"


# Idle, a code server has 300 MB, a web server 190, a daemon 160; a second code server is there while one is reloaded.
CODE = Process(
    "code-server",
    names.CODE_SERVER_ROLE,
    512,
    2048,
    ["dagster", "api", "grpc", "-h", _EVERYWHERE, "-p", str(_CODE), "-m", "adplatform.definitions", *_JSON],
    _CODE,
    ["dagster", "api", "grpc-health-check", "-p", str(_CODE)],
)
DAEMON = Process(
    "daemon",
    names.DAEMON_ROLE,
    512,
    1024,
    ["dagster-daemon", "run", "-w", WORKSPACE, *_JSON],
    health=["dagster-daemon", "liveness-check"],
    # Many runs that start at once have RunTask throttled.
    environment={
        "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "120",
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": "10",
    },
)
WEB = Process(
    "webserver",
    names.WEBSERVER_ROLE,
    512,
    1024,
    ["dagster-webserver", "-h", _EVERYWHERE, "-p", str(_WEB), "-w", WORKSPACE, *_JSON],
    _WEB,
)
RUN = Process("run", names.RUN_ROLE, 2048, 8192, ["dagster", "--version"], family=names.RUN_FAMILY, disk=100)
"""ECS gives each run its command, and its source's role in the place of this one."""
PROCESSES = (CODE, DAEMON, WEB, RUN)
