"""Files on an SFTP server: who carries them, from where, and when each is taken."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.feed import BROUGHT, Brought, Feed
from adplatform.contracts.sftp_host import SftpClient, SftpConnector, SftpHost
from adplatform.contracts.sftp_server import SftpServer
from adplatform.contracts.source import FileSource
from adplatform.contracts.strict import Strict

From = Annotated[SftpClient | SftpConnector | SftpServer, Discriminator("kind")]
_DATE = re.compile(r"\{date(?::([^{}]+))?\}")
_ISO = "%Y-%m-%d"
_DIGITS = {"%Y": 4, "%m": 2, "%d": 2, "%y": 2, "%j": 3}


class Ready(Strict):
    """When a file of the server is taken to be whole."""

    stable_for: Duration = timedelta(minutes=1)
    """How long its size and time have to stay as they are, seen by two listings at least; 0s takes a file at once, for
    senders that give it its name when it is whole."""
    marker: Annotated[str, Field(pattern=r"^[^/]+$", max_length=255)] | None = None
    """The name of a file beside it that says that it is whole: ``{file}.done`` for one each, ``_SUCCESS`` for all of a
    folder. By default none is awaited."""

    @field_validator("marker", mode="before")
    @classmethod
    def _name(cls, marker: Any) -> Any:
        if isinstance(marker, str):
            around = marker.replace("{file}", "", 1)
            if "/" in marker:
                raise ValueError("marker is the name of a file in the same folder, without /")
            if not around or "{" in around or "}" in around:
                raise ValueError(
                    "marker is a name of its own, such as _SUCCESS or {file}.done, with {file} once at most"
                )
        return marker


class Afterwards(Strict):
    """What becomes of a file on the server once it is published."""

    move_to: Annotated[str, Field(pattern=r"^/?[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*/?$", max_length=1024)] | None = None
    """The folder to which it is moved; relative to that of the file, or absolute. With ``{date}`` (or
    ``{date:%Y%m%d}``) in it, each delivery date has one of its own: ``done/{date}``."""
    delete: bool = False
    """Whether it is deleted."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.delete and self.move_to:
            raise ValueError("give move_to or delete, not both")
        away = self.move_to or ""
        if {".", ".."}.intersection(away.split("/")) or {"{", "}"}.intersection(_DATE.sub("", away)):
            raise ValueError(
                "move_to names a folder in that of the file, or an absolute one; it has no . and .., and of {} only "
                "{date} or {date:%Y%m%d}"
            )
        for found in _DATE.finditer(away):
            if unknown := sorted(set(re.findall("%.?", found[1] or _ISO)) - _DIGITS.keys()):
                raise ValueError(f"the date of move_to holds {', '.join(unknown)}; it may hold {', '.join(_DIGITS)}")
        return self

    def folder(self, day: date) -> str | None:
        """Where the files of a date are moved to, relative to where they are, or absolute."""
        return _DATE.sub(lambda found: day.strftime(found[1] or _ISO), self.move_to) if self.move_to else None

    def has(self, path: str) -> bool:
        """Whether a file, or those of a template, are where files are moved to."""
        if self.move_to is None:
            return False
        away, pattern, position = self.move_to.rstrip("/"), "" if self.move_to.startswith("/") else "(?:.*/)?", 0
        for found in _DATE.finditer(away):
            dated = re.sub("%.", lambda part: f"[0-9]{{{_DIGITS[part[0]]}}}", re.escape(found[1] or _ISO))
            pattern += f"{re.escape(away[position : found.start()])}(?:{dated}|{_DATE.pattern})"
            position = found.end()
        return bool(re.fullmatch(pattern + re.escape(away[position:]), path.rpartition("/")[0], re.DOTALL))


class SftpFeed(Feed):
    """One dataset among the files of a server."""

    remote: Annotated[str, Field(pattern=r"^/", min_length=2, max_length=1024)]
    """Where its files are on the server, made of ``{date}`` (or ``{date:%Y%m%d}``), ``{file}`` and ``*``:
    ``/out/orders/orders_{date:%Y%m%d}_*.csv.gz``. Without a date, that (UTC) counts on which the file was changed."""
    ready: Ready = Ready()
    """When a file is taken to be whole."""
    landing: str = "{feed}/dt={date}/{file}"
    """Fixed: where the files are put."""
    arrival: Brought = BROUGHT
    """When a delivery is complete: by what was fetched. A ``deadline`` may be set."""

    @model_validator(mode="after")
    def _fetched(self) -> Self:
        if "landing" in self.model_fields_set:
            raise ValueError("landing is where fetched files are put, and is fixed; leave it out and give remote")
        if self.arrival.complete_when != "engine":
            raise ValueError("arrival.complete_when is engine for files that are fetched; leave it out")
        if self.schedule is not None:
            raise ValueError("deliveries are processed once files were fetched; leave schedule out, use every")
        if "{feed}" in self.remote or ".." in self.remote.split("/"):
            raise ValueError("remote is made of {date}, {file} and *; it names no feed and no parent folder")
        if self.remote.endswith("/"):
            raise ValueError(f"remote names files, not a folder: {self.remote}{{file}} is all that are in this one")
        if {"", "."}.intersection(self.remote.split("/")[1:]):
            raise ValueError("remote has // or /./, which is in no path of a file: leave it out")
        return self

    @field_validator("remote", mode="before")
    @classmethod
    def _absolute(cls, remote: Any) -> Any:
        if isinstance(remote, str) and not remote.startswith("/"):
            raise ValueError(f"remote begins with /: /{remote} where that is in the root folder of the user")
        return remote

    @property
    def folder(self) -> str:
        """The fixed beginning of ``remote`` that is a folder, which is listed."""
        fixed = self.remote.partition("{")[0].partition("*")[0]
        return fixed.rpartition("/")[0] or "/"

    @property
    def depth(self) -> int:
        """How many folders below that one files may be."""
        return self.remote.removeprefix(self.folder).strip("/").count("/")


def _feed_kind(value: Any) -> str:
    """A feed says where its files are on the server; one that is uploaded to ours has no need to."""
    fetched = {"remote", "ready"}.intersection(value) if isinstance(value, dict) else isinstance(value, SftpFeed)
    return "(fetched)" if fetched else "(uploaded)"


AnyFeed = Annotated[
    Annotated[SftpFeed, Tag("(fetched)")] | Annotated[Feed, Tag("(uploaded)")], Discriminator(_feed_kind)
]


class SftpSource(FileSource):
    """Files of one SFTP server."""

    pattern: ClassVar[str] = "sftp"

    from_: From = Field(alias="from")
    """The server, and who fetches its files."""
    every: Duration = timedelta(minutes=15)
    """How often the server is looked at; not for ``kind: server``."""
    offset: Duration = timedelta(0)
    """How long after midnight (UTC), or after full multiples of ``every``, it is looked at."""
    afterwards: Afterwards = Afterwards()
    """What becomes of a file on the server once it is published; by default it stays as it is. Not for ``kind:
    server``, whose files are archived as all that is pushed."""
    feeds: list[AnyFeed] = Field(min_length=1)
    """The datasets among the files, each with where they are on the server; for ``kind: server`` they are feeds as
    those of a partner that pushes to S3."""
    simulated: bool = False
    """Whether the server is simulated: one of this machine stands for it, and the secret says where that is."""
    check_every: int = Field(default=60, ge=1)
    """Seconds between two looks at what runs, or at what has arrived."""

    @model_validator(mode="before")
    @classmethod
    def _uploaded(cls, given: Any) -> Any:
        source = given if isinstance(given, dict) else {}
        server, feeds = source.get("from"), source.get("feeds")
        if not isinstance(server, dict) or server.get("kind") != "server":
            return given
        for name in ("every", "offset", "afterwards", "simulated"):
            if name in source:
                raise ValueError(f"{name} is for servers that files are fetched from; leave it out with kind: server")
        for feed in feeds if isinstance(feeds, list) else ():
            for name in ("remote", "ready"):
                if isinstance(feed, dict) and name in feed:
                    raise ValueError(
                        f"feed {feed.get('name')}: {name} is for servers that files are fetched from; with kind: "
                        "server files land as `landing` says and are complete as `arrival` says"
                    )
        return given

    @model_validator(mode="after")
    def _fetched_or_uploaded(self) -> Self:
        if self.simulated and not isinstance(self.from_, SftpClient):
            raise ValueError("simulated is for kind: client; a connector reaches what this machine reaches")
        if not isinstance(self.from_, SftpServer):
            if not self.simulated and not (self.from_.host and self.from_.host_keys):
                raise ValueError(
                    "from needs host and host_keys: what `ssh-keyscan <host>` prints, without the name, confirmed by "
                    "the server's owner"
                )
            if lacking := [feed.name for feed in self.feeds if not isinstance(feed, SftpFeed)]:
                raise ValueError(f"feed {lacking[0]}: remote is missing: say where its files are on the server")
            if away := [feed.name for feed in self.fetched if self.afterwards.has(feed.remote)]:
                raise ValueError(
                    f"afterwards.move_to is where the files of {away[0]} are: none there is taken, as all there have "
                    "been published; name another folder"
                )
        elif any(feed.arrival.complete_when == "engine" for feed in self.feeds):
            raise ValueError("arrival.complete_when: engine is for files that are fetched; partners upload these")
        return self

    @property
    def host(self) -> SftpHost:
        """The server that files are fetched from.

        Raises:
            TypeError: partners upload to one of ours.
        """
        if isinstance(self.from_, SftpServer):
            raise TypeError("nothing is fetched from a server that partners upload to")
        return self.from_

    @property
    def server(self) -> SftpServer:
        """The server of ours that partners upload to.

        Raises:
            TypeError: files are fetched from one of theirs.
        """
        if not isinstance(self.from_, SftpServer):
            raise TypeError("nobody uploads to a server that files are fetched from")
        return self.from_

    @property
    def fetched(self) -> list[SftpFeed]:
        """The feeds whose files are fetched: all, or none with ``kind: server``."""
        return [feed for feed in self.feeds if isinstance(feed, SftpFeed)]
