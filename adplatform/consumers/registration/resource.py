"""What a service is to have for a table, what it has, and how a kind of it is read and written."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import ConsumerName
from adplatform.failures import clipped
from adplatform.platform.arns import key_arn
from adplatform.platform.names import OWNER_TAG
from adplatform.platform.settings import Settings

SOURCE, TABLE = OWNER_TAG, "adplatform:table"
"""Tags of all that is made: the source in YAML, and the table as ``<database>.<name>``."""
NAME_PREFIX = "adplatform"
"""How names begin, before a hyphen."""
Definition = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where tables are, and what is made for them: an account, what ``settings`` say of it, and the ARN of the KMS
    ``key`` of the zones; "" for that which AWS manages."""

    settings: Settings
    account: str
    key: str = ""

    @property
    def region(self) -> str:
        return self.settings.region

    def is_own(self, tags: Mapping[str, str]) -> bool:
        """Whether these tags are of this platform, and not of another one in the account, whose databases have another
        prefix."""
        return SOURCE in tags and tags.get(TABLE, "").startswith(f"{self.settings.database_prefix}{tags[SOURCE]}.")


def place_of(settings: Settings, account: str) -> Place:
    """The place of a platform with these settings."""
    key = settings.kms_key_id
    return Place(settings, account, key_arn(key, settings.region, account) if key else "")


@dataclass(frozen=True)
class Wanted:
    """A resource that ``consumer`` is to have for the ``table`` (``<database>.<name>``) of a feed of ``source``. No
    other of its ``kind`` in the account is to have its ``name``. ``definition`` has the service's own fields, without
    tags; what is empty there is as if it were left out, and lists whose order says nothing are sorted. ``requires``
    names what has to be there before, by ``key``; ``account`` is for services that are told it with each call."""

    consumer: ConsumerName
    kind: str
    name: str
    source: str
    table: str
    definition: Definition
    requires: tuple[str, ...] = ()
    account: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def tags(self) -> dict[str, str]:
        return {SOURCE: self.source, TABLE: self.table}


def description_of(table: ConsumedTable) -> str:
    """Of whatever is made for a table; services take 255 characters."""
    return clipped(f"Declared by the feed {table.feed}.", 255)


@dataclass(frozen=True)
class There:
    """What the service has: its ``definition`` in the fields that a declaration decides, and the ``id`` by which calls
    name it where that is not its name. ``fixed`` are fields that no call changes, by what to do for each."""

    definition: Definition
    tags: Mapping[str, str]
    id: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tagged:
    """A resource that has our tags, whoever declares it."""

    kind: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """How resources of one kind are read and written by a boto3 client of ``service``. ``read`` looks for the name and
    prefers what has the tags of the wanted one; ``create`` makes it with its tags; ``update`` makes what is there what
    is wanted, and may be repeated; ``tagged`` are all that have a tag of ours. Errors of boto3 pass. Where names are
    not ``unique`` to the service, a call that is repeated makes a second one. Behind the client of ``service`` they are
    given that of ``also``, where there is one. What is not ``deployable`` is made here, whoever registers tables: a
    deployment does not know the types of a view, and CloudFormation no schemas."""

    service: str
    read: Callable[..., There | None]
    create: Callable[..., None]
    update: Callable[..., None]
    tagged: Callable[..., Iterable[Tagged]]
    unique: bool = True
    also: str = ""
    deployable: bool = True


@dataclass(frozen=True)
class Registration:
    """What a service is to have: ``wanted`` of a table, its settings and a place, what others require first; and the
    ``kinds`` of that, by name. ``lacking`` says which settings of the platform have to be made before. ``given`` is
    what people give the service themselves, as it takes it; None where there is nothing of the kind."""

    wanted: Callable[[ConsumedTable, Any, Place], Iterable[Wanted]]
    kinds: Mapping[str, Kind]
    lacking: Callable[[Any, Settings], Iterable[str]] = lambda *_: ()
    given: Callable[[ConsumedTable, Any, Place], Definition | None] = lambda *_: None
