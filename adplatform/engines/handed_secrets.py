"""Secrets that are read to be handed to a managed engine, and to nobody else."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_secrets import json_object


def read_secret(secrets: Any, name: str, members: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """The members of a secret that is a JSON object, the ``optional`` ones where they are there.

    Raises:
        PermanentFailure: there is no such secret, or it lacks a member; nothing of it is quoted.
        TransientFailure: Secrets Manager does not answer at present, or does not allow it.
    """
    with aws_failures(f"secret {name}"):
        try:
            text = secrets.get_secret_value(SecretId=name).get("SecretString", "")
        except secrets.exceptions.ResourceNotFoundException as e:
            raise PermanentFailure(
                f"secret {name} does not exist: make it, a JSON object with {', '.join(members)}"
            ) from e
    kept = {key: value for key, value in json_object(text).items() if isinstance(value, str)}
    if missing := [member for member in members if not kept.get(member)]:
        raise PermanentFailure(f"secret {name} is no JSON object with {', '.join(missing)}")
    return {member: kept[member] for member in (*members, *optional) if kept.get(member)}


@contextmanager
def hidden(values: Collection[str]) -> Iterator[None]:
    """No error of the call says any of these values, nor has a cause that may."""
    try:
        yield
    except (PermanentFailure, TransientFailure) as e:
        text = str(e)
        for value in values:
            text = text.replace(value, "***")
        e.args = (text,)
        e.__context__ = None
        raise e from None
