"""The columns that a personal column becomes in the clean zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adplatform.contracts.column import PREVIOUS_KEY_ID, Column
from adplatform.contracts.model import Contract
from adplatform.contracts.pii import Pii, Treatment
from adplatform.failures import PermanentFailure
from adplatform.privacy.rules import RULES, Form, function_name

_SUFFIXES = {
    Treatment.LAKE: "lake",
    Treatment.SHORT_ID: "short_id",
    Treatment.AMAZON_ADS: "amazon_ads",
    Treatment.META: "meta",
    Treatment.GOOGLE: "google",
    Treatment.UID2: "uid2",
    Treatment.MASK: "masked",
}
_PREVIOUS = "previous"
SHORT_DIGITS = 32
"""Hexadecimal digits of a short id, 128 bits: two of a thousand million values are alike with a chance of 10^-21."""
_COMMENTS: Mapping[Form, str] = {
    "digest": "SHA-256 of {name} as {treatment} normalises it",
    "short digest": "The first 32 digits of {name}_lake",
    "base64 digest": "Base64 of the SHA-256 of {name} as {treatment} normalises it",
    "normalised": "{name} in clear, as {treatment} takes it",
    "masked": "{name} without what identifies",
    "clear": "{name} in clear",
}


@dataclass(frozen=True)
class PiiOutput:
    """One stored column. ``expression`` is DuckDB SQL (only its quotes differ from Spark's) and needs the functions of
    ``register``.

    It reads the raw columns as strings, by the names the contract gives them. ``tags`` are ``pii`` (the kind),
    ``treatment`` and ``form`` (see ``Form``), and ``key: previous`` for a digest under the key before the current one.
    """

    name: str
    expression: str
    form: Form
    comment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def pii_outputs(column: Column, pii: Pii, *, previous: bool = False) -> tuple[PiiOutput, ...]:
    """The outputs of ``column`` in the order of its treatments; none for ``drop``. With ``previous`` its lake digest is
    followed by one under the previous key.

    Raises:
        PermanentFailure: a treatment has no rule for this kind of value, or cannot do without a country.
    """
    outputs = []
    for treatment in pii.treatment:
        if treatment is not Treatment.DROP:
            outputs.append(_output(column, pii, treatment))
        if treatment is Treatment.LAKE and previous:
            outputs.append(_output(column, pii, treatment, previous=True))
    return tuple(outputs)


def personal_outputs(contract: Contract) -> dict[str, PiiOutput]:
    """All of a contract, by name, also those of a rotation of keys.

    Raises:
        PermanentFailure: as :func:`pii_outputs`.
    """
    every = (pii_outputs(column, pii, previous=True) for column, pii in contract.pii_columns())
    return {output.name: output for outputs in every for output in outputs}


def _output(column: Column, pii: Pii, treatment: Treatment, *, previous: bool = False) -> PiiOutput:
    if treatment is Treatment.CLEAR:
        return PiiOutput(column.name, _quoted(column.name), "clear", *_described(column, pii, treatment, "clear"))
    if treatment is Treatment.SHORT_ID:
        digest = _output(column, pii, Treatment.LAKE)
        described = _described(column, pii, treatment, "short digest")
        return PiiOutput(
            f"{column.name}_{_SUFFIXES[treatment]}",
            f"substring({digest.expression}, 1, {SHORT_DIGITS})",
            "short digest",
            *described,
        )
    rule = RULES.get((treatment, pii.kind))
    if rule is None:
        raise PermanentFailure(
            f"column {column.name}: treatment {treatment} has no rule for {pii.kind}, because that platform does not "
            "take it hashed. Remove the treatment, or store the column with treatment clear alone."
        )
    country = _quoted(pii.country_column) if pii.country_column else f"'{pii.country or ''}'"
    if rule.needs_country and country == "''":
        raise PermanentFailure(
            f"column {column.name}: treatment {treatment} normalises {pii.kind} by country: "
            "give country or country_column"
        )
    arguments = f"{_quoted(column.name)}, {country}" if rule.takes_country else _quoted(column.name)
    comment, tags = _described(column, pii, treatment, rule.form)
    name, call = f"{column.name}_{_SUFFIXES[treatment]}", function_name(treatment, pii.kind, previous=previous)
    if previous:
        name, tags = f"{name}_{_PREVIOUS}", {**tags, "key": _PREVIOUS}
        comment = f"HMAC-SHA-256 of the canonical {column.name} under the key before; its id is in {PREVIOUS_KEY_ID}"
    return PiiOutput(name, f"{call}({arguments})", rule.form, comment, tags)


def _quoted(name: str) -> str:
    """Catalog names hold no quotes, but may be words of SQL, such as ``order``."""
    return f'"{name}"'


def _described(column: Column, pii: Pii, treatment: Treatment, form: Form) -> tuple[str, Mapping[str, str]]:
    comment = (
        f"HMAC-SHA-256 of the canonical {column.name}; key in _pii_key_id"
        if treatment is Treatment.LAKE
        else _COMMENTS[form].format(name=column.name, treatment=treatment)
    )
    return comment, {"pii": str(pii.kind), "profile": str(treatment), "form": form}
