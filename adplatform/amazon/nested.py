"""Arrays within the records of a report, such as the products of a promotion: each element as a row of its own."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import Row


def shaped(records: Iterable[Row], dataset: Dataset, datasets: Sequence[Dataset]) -> Iterator[Row]:
    """The rows of a dataset: its records without what other datasets take of them as rows of their own; or, where it
    names ``each``, the elements of that array."""
    if dataset.each:
        path, kept = dataset.each.split("."), [name for column in dataset.columns for name in column.field_names]
        for record in records:
            yield from _elements(record, path, kept)
        return
    elsewhere = {d.each.split(".")[0] for d in datasets if d.each and d.records == dataset.records}
    for record in records:
        yield {name: value for name, value in record.items() if name not in elsewhere} if elsewhere else record


def _elements(record: Row, path: Sequence[str], kept: Collection[str]) -> Iterator[Row]:
    """For each element at the path the record with that element in the place of the array, and else only the members
    that are ``kept``, by their dotted paths. One alone, as XML has it, is an array of one; nothing is no element."""
    name, *further = path
    found = record.get(name)
    beside = {each.partition(".")[0] for each in kept} - {name}
    row = {member: record[member] for member in record if member in beside}
    for element in found if isinstance(found, list) else [found]:
        if not further and element is not None:
            yield {**row, name: element}
        elif isinstance(element, dict):
            below = [each.removeprefix(f"{name}.") for each in kept if each.startswith(f"{name}.")]
            yield from ({**row, name: inner} for inner in _elements(element, further, below))
