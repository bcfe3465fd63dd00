"""Two partners to try the platform with, and a treasury with rates of exchange. They behave as partners do: mostly
well, and sometimes not.

Everything is generated from the date, so the same day always brings the same rows. Nothing here is anybody's data.
"""

import csv
import gzip
import io
import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from adplatform.failures import PermanentFailure

SECRETS = "adplatform/demo/"
CAMPAIGNS = ("Spring, early", "Brand “always on”", "Retargeting\nwave 2", "促销")
DEVICES = ("desktop", "mobile", "tablet", "tv")
FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Fatima", "Grace", "Hans", "Ines", "Jun", "Kofi", "Lea")
LAST_NAMES = (
    "Almeida",
    "Becker",
    "Costa",
    "Dubois",
    "Eriksson",
    "Fischer",
    "Grant",
    "Ito",
    "Jones",
    "Müller",
    "O'Neil",
)
PHONES = {"DE": "+49 151 {:08d}", "FR": "+33 6 {:08d}", "GB": "+44 7700 {:06d}", "US": "+1 (202) 555-{:04d}"}

Upload = Callable[[str, bytes], None]
"""Puts a body under a key of the landing zone."""


@dataclass(frozen=True)
class PartnerKeys:
    """A throw-away GnuPG home with the demo's keys: one per partner and two of ours, one from before a rotation."""

    home: Path

    def encrypt(self, body: bytes, signer: str, recipient: str = "our-key") -> bytes:
        """``body`` encrypted to us and signed by the partner."""
        return self._gpg(
            "--recipient", _uid(recipient), "--local-user", _uid(signer), "--sign", "--encrypt", stdin=body
        )

    def make(self, name: str) -> None:
        self._gpg("--passphrase", "", "--quick-generate-key", _uid(name), "rsa2048", "sign,cert,encr", "never")

    def private(self, name: str) -> bytes:
        return self._gpg("--armor", "--export-secret-keys", _uid(name))

    def public(self, name: str) -> bytes:
        return self._gpg("--armor", "--export", _uid(name))

    def _gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        options = ["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--trust-model", "always"]
        command = ["gpg", "--homedir", str(self.home), *options, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise PermanentFailure(
                f"gpg {arguments[0]} failed with status {done.returncode}; is GnuPG 2.2 or newer installed?"
            )
        return done.stdout


def _uid(name: str) -> str:
    return f"{name} <{name}@demo.invalid>"


class Partners:
    """The demo partners at work. Use as a context manager; leaving it forgets the partners' private keys."""

    def __init__(self, upload: Upload, secrets: Any, today: date) -> None:
        self._upload, self._secrets, self._today = upload, secrets, today
        # Agent sockets need a short path; see files.gpg_home.
        self._home = tempfile.TemporaryDirectory(prefix="adp-", dir="/tmp")
        self._keys = PartnerKeys(Path(self._home.name))

    def __enter__(self) -> "Partners":
        for name in ("our-key", "our-old-key", "northwind-key", "clubcard-key"):
            self._keys.make(name)
            body = self._keys.private(name) if name.startswith("our") else self._keys.public(name)
            self._store(name, body)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--homedir", self._home.name, "--kill", "all"], check=False, capture_output=True)
        self._home.cleanup()

    def first_deliveries(self) -> None:
        """Three days of campaigns (one file damaged on the way, one encrypted to the old key), members, purchases,
        and rates of exchange that are some days old."""
        for days_ago in (3, 2, 1):
            day = self._today - timedelta(days=days_ago)
            self._campaigns(day, damaged=days_ago == 1, recipient="our-old-key" if days_ago == 3 else "our-key")
        rated = self._today - timedelta(days=10)
        self._upload(
            f"landing/treasury/exchange_rates/dt={rated}/rates.csv", b"currency,usd\nCAD,0.730000\nEUR,1.160000\n"
        )
        yesterday = self._today - timedelta(days=1)
        body = _semicolon_csv(members(yesterday))
        self._upload(
            f"landing/clubcard/members/dt={yesterday}/members.csv.pgp", self._keys.encrypt(body, "clubcard-key")
        )
        for part in (1, 2):
            self._upload(
                f"landing/clubcard/purchases/dt={yesterday}/part-{part}.json", _json_lines(purchases(yesterday, part))
            )

    def second_deliveries(self) -> None:
        """What the partners do next: send the damaged file again, and correct purchases after they were published."""
        yesterday = self._today - timedelta(days=1)
        self._campaigns(yesterday, damaged=False, recipient="our-key")
        corrected = [{**row, "amount": "0.00"} for row in list(purchases(yesterday, 1))[:50] if "amount" in row]
        self._upload(f"landing/clubcard/purchases/dt={yesterday}/correction.json", _json_lines(iter(corrected)))

    def _campaigns(self, day: date, *, damaged: bool, recipient: str) -> None:
        folder, listed = f"landing/northwind/campaign_daily/dt={day}/", []
        for part in (1, 2):
            rows = campaign_rows(day, part)
            body = self._keys.encrypt(gzip.compress(_csv(rows), mtime=0), "northwind-key", recipient)
            name = f"campaigns_{part}of2.csv.gz.pgp"
            broken = bytes([body[len(body) // 2] ^ 0x55])
            sent = body[: len(body) // 2] + broken + body[len(body) // 2 + 1 :] if damaged and part == 2 else body
            listed.append({"name": name, "bytes": len(sent), "sha256": sha256(sent).hexdigest(), "rows": len(rows) - 1})
            self._upload(folder + name, sent)
        self._upload(folder + "manifest.json", json.dumps({"files": listed}).encode())

    def _store(self, name: str, body: bytes) -> None:
        text = body.decode()
        try:
            self._secrets.create_secret(Name=SECRETS + name, SecretString=text)
        except self._secrets.exceptions.ResourceExistsException:
            self._secrets.put_secret_value(SecretId=SECRETS + name, SecretString=text)


def campaign_rows(day: date, part: int, campaigns: int = 1500) -> list[list[str]]:
    """Header and rows; the second part repeats some keys of the first with newer figures, and a few rows are broken."""
    chance = random.Random(f"campaigns {day} {part}")  # noqa: S311 - data, not secrets
    header = [
        "report_date",
        "campaign_id",
        "Campaign name",
        "device",
        "country",
        "impressions",
        "clicks",
        "cost",
        "updated_at",
    ]
    rows = []
    first = 1 if part == 1 else campaigns - 100
    for campaign in range(first, first + campaigns):
        impressions = chance.randrange(0, 200_000)
        updated = datetime(day.year, day.month, day.day, 6 * part, tzinfo=UTC) + timedelta(seconds=campaign)
        row = [
            day.isoformat(),
            str(7_000_000_000 + campaign),
            f"{chance.choice(CAMPAIGNS)} #{campaign}",
            chance.choice(DEVICES) if part == 1 else DEVICES[campaign % 4],
            chance.choice(tuple(PHONES)),
            str(impressions),
            str(chance.randrange(0, impressions // 20 + 1)),
            f"{chance.randrange(0, 90_000_000) / 1_000_000:.6f}",
            updated.isoformat().replace("+00:00", "Z"),
        ]
        rows.append(_broken(row, chance) if chance.random() < 0.008 else row)
    return [header, *rows]


def _broken(row: list[str], chance: random.Random) -> list[str]:
    """One of the ways in which rows arrive broken."""
    column, value = chance.choice(
        (
            (0, "2026-02-30"),
            (1, ""),
            (3, "fridge"),
            (5, "1.5e3"),
            (5, "-4"),
            (6, "99999999"),
            (7, "12,50"),
            (8, "yesterday"),
        )
    )
    return [*row[:column], value, *row[column + 1 :]] if chance.random() < 0.8 else row[:-2]


def members(day: date, count: int = 2000) -> Iterator[dict[str, str]]:
    chance = random.Random(f"members {day}")  # noqa: S311 - data, not secrets
    for number in range(count):
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        country = chance.choice(tuple(PHONES))
        email = f"{first}.{last}{number}@example.com".replace("'", "")
        yield {
            "member_id": f"M{number:06d}",
            "E-Mail": chance.choice((email, email.upper(), f"  {email} ", "")),
            "phone": PHONES[country].format(chance.randrange(0, 9999)) if chance.random() < 0.9 else "",
            "first_name": first,
            "last_name": last,
            "birth_date": f"{chance.randrange(1, 28):02d}.{chance.randrange(1, 12):02d}.{chance.randrange(1950, 2005)}",
            "country": country,
            "joined_at": f"{chance.randrange(2015, 2026)}-06-15T12:00:00+02:00",
            "opted_in": chance.choice(("yes", "no", "Y", "N")) if chance.random() > 0.01 else "maybe",
        }


def purchases(day: date, part: int, count: int = 1500) -> Iterator[dict[str, Any]]:
    chance = random.Random(f"purchases {day} {part}")  # noqa: S311 - data, not secrets
    for number in range(count):
        row = {
            "purchase_id": part * 1_000_000 + number,
            "member_id": f"M{chance.randrange(0, 2000):06d}",
            "purchased_on": (day - timedelta(days=chance.randrange(0, 2))).isoformat(),
            "amount": f"{chance.randrange(1, 50_000) / 100:.2f}",
            "currency": chance.choice(("EUR", "GBP", "USD")),
        }
        yield {**row, "amount": "n/a"} if chance.random() < 0.005 else row


def _csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _semicolon_csv(rows: Iterator[dict[str, str]]) -> bytes:
    listed, out = list(rows), io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(listed[0]), delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(listed)
    return out.getvalue().encode()


def _json_lines(rows: Iterator[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
