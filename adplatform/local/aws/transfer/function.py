"""``python -m adplatform.local.aws.transfer.function module:name``: a process that calls a handler for each line of
stdin, as Lambda's runtime does, until there is none."""

import importlib
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass

OK, FAILED = b"ok\n", b"failed\n"


@dataclass(frozen=True)
class Context:
    """What handlers use of Lambda's context."""

    invoked_function_arn: str
    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self.deadline - time.time()) * 1000), 0)


def main(handler: str) -> None:
    # What a handler prints is no answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    module, _, name = handler.partition(":")
    called = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            called(request["event"], Context(request["arn"], request["deadline"]))
        except Exception:
            traceback.print_exc()
            answers.write(FAILED)
        else:
            answers.write(OK)


if __name__ == "__main__":
    main(sys.argv[1])
