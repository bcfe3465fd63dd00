"""CPU time of one AWS call, client and server together: the platform's client and embedded AWS against plain boto3 and
moto's own server, turn by turn on the same machine. ``python benchmarks/aws_call.py [CALLS] [TURNS]``."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws

CALLS, TURNS = (int(argument) for argument in [*sys.argv[1:], *("200", "5")[len(sys.argv) - 1 :]])
Call = Callable[[int], Any]


def calls(client: Callable[[str], Any]) -> dict[str, Call]:
    dynamodb, s3, glue = client("dynamodb"), client("s3"), client("glue")
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3.create_bucket(Bucket="bucket")
    glue.create_database(DatabaseInput={"Name": "d"})
    return {
        "dynamodb PutItem": lambda n: dynamodb.put_item(TableName="t", Item={"pk": {"S": str(n)}, "a": {"S": "x"}}),
        "dynamodb GetItem": lambda n: dynamodb.get_item(TableName="t", Key={"pk": {"S": str(n)}}),
        "s3 PutObject": lambda n: s3.put_object(Bucket="bucket", Key=f"k{n}", Body=b"x"),
        "s3 HeadObject": lambda n: s3.head_object(Bucket="bucket", Key=f"k{n}"),
        "s3 ListObjectsV2": lambda n: s3.list_objects_v2(Bucket="bucket", Prefix=f"k{n}"),
        "glue GetDatabase": lambda _: glue.get_database(Name="d"),
    }


def used(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(call: Call, server: int) -> tuple[float, float]:
    """Milliseconds of CPU a call: this process's and the server's."""
    call(0)
    mine, other = time.process_time(), used(server)
    for n in range(CALLS):
        call(n)
    return (time.process_time() - mine) * 1000 / CALLS, (used(server) - other) * 1000 / CALLS


def plain(port: int) -> Callable[[str], Any]:
    return lambda service: boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with tempfile.TemporaryDirectory() as data, ensure(Path(data)) as endpoint:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.1)
            assert endpoint.process is not None
            ours, theirs = calls(local_aws(endpoint.url).client), calls(plain(port))
            print(f"{'ms of CPU a call':26}{'platform: client':>18}{'server':>8}{'moto: client':>14}{'server':>8}")
            for name in ours:
                turns = [(cost(ours[name], endpoint.process.pid), cost(theirs[name], moto.pid)) for _ in range(TURNS)]
                a, b, c, d = (statistics.median(t[i][j] for t in turns) for i in (0, 1) for j in (0, 1))
                ratio = statistics.median(sum(t[0]) / sum(t[1]) for t in turns)
                print(f"{name:26}{a:18.2f}{b:8.2f}{c:14.2f}{d:8.2f}   ratio {ratio:.2f}", flush=True)
    finally:
        moto.terminate()


if __name__ == "__main__":
    main()
