"""SSM parameters that a snapshot can hold. Imported only when SSM is used: moto needs a second to load it."""

from typing import Any

from moto.ssm import models


class LocalParameterDict(models.ParameterDict):
    """A dict whose constructor takes arguments that pickle does not know of."""

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalParameterDict, (self.account_id, self.region_name), None, None, iter(dict.items(self))


def install() -> None:
    models.ParameterDict = LocalParameterDict
