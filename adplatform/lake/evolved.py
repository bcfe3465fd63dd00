"""Columns that files brought and nobody declared (``schema_policy: evolve``): those that a later delivery lacks."""

from collections.abc import Iterable
from dataclasses import replace

from adplatform.contracts.model import Contract
from adplatform.transform.values import Staged


def compared_to(staged: Staged, contract: Contract, before: Iterable[str]) -> Staged:
    """The delivery with those of the columns ``before``, which earlier ones had, among the ``lacking`` that no file of
    it has. What the contract has come to declare since is compared by the contract. Members of JSON are not compared:
    any document may be without any."""
    if contract.format.prepared == "ndjson":
        return staged
    declared = {column.name for column in contract.columns}
    known = [name for name in before if name not in declared]
    lost = dict.fromkeys((name for name in known if name not in staged.evolved), len(staged.counts))
    stored = {column.name for column in staged.columns}
    evolved = tuple(dict.fromkeys((*known, *(name for name in staged.evolved if name in stored))))
    return replace(staged, evolved=evolved, lacking={**staged.lacking, **lost} if staged.counts else {})
