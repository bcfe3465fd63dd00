"""As whom the steps of runs call AWS."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from adplatform.platform.calls import acting, run_of

Step = TypeVar("Step", bound=Callable[..., Any])


def step_of(pattern: str) -> Callable[[Step], Step]:
    """For the function of a step: what it calls, runs of that pattern have to be allowed."""

    def decorate(step: Step) -> Step:
        if not inspect.isgeneratorfunction(step):
            return acting(run_of(pattern))(step)

        @functools.wraps(step)
        def yielding(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with acting(run_of(pattern)):
                yield from step(*args, **kwargs)

        return cast(Step, yielding)

    return decorate
