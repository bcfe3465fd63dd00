"""A contract compiled to SQL: validate, quarantine, clean. Pure functions from contract to text.

The text is DuckDB's; ``dialect.to_spark`` translates it, so both engines run the same rules. The statements read these
relations, which the engine provides under these names:

* ``raw``: every read column as text under its contract name, and ``_file``, the ordinal of the file; of columns that
  may be bytes also whether a value is no text, under the name ``no_text`` gives;
* ``validated``: what ``validate`` returns, with ``_row``, a number that grows along each file. The reasons against a
  good row are empty, those against one that is left out NULL; where columns are lenient also ``_emptied``, why values
  became none;
* ``latest``: the good rows of ``validated`` that no later row of the same key supersedes;
* ``files``: ``_file`` and ``_origin``.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from adplatform.contracts.column import DELIVERY_DATE, PREVIOUS_KEY_ID, Column
from adplatform.contracts.columns import is_amount_of
from adplatform.contracts.model import Contract
from adplatform.contracts.naming import named_columns
from adplatform.contracts.pii import Pii
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure
from adplatform.platform.late import Late
from adplatform.privacy.outputs import PiiOutput, pii_outputs
from adplatform.privacy.rules import WHOLE_DIGESTS, Form
from adplatform.transform import partition_values, rules
from adplatform.transform.rules import identifier, literal
from adplatform.transform.values import OutputColumn

if TYPE_CHECKING:
    from sqlglot import exp

    from adplatform.transform import column_values, expressions, naming
else:
    exp = Late("sqlglot.expressions")
    column_values = Late("adplatform.transform.column_values")
    naming = Late("adplatform.transform.naming")
    expressions = Late("adplatform.transform.expressions")

STRING = DataType("string")
INTERNAL_COLUMNS = (
    *("_file", "_row", "_reasons", "_fields", "_origin", "_place", "_partition", "_value", "_emptied"),
    # DuckDB's own, which a column of that name would hide.
    *("rowid", "file_index"),
)
_HASHED: Collection[Form] = (*WHOLE_DIGESTS, "short digest")
SEPARATOR = ";"
"""Stands between the reasons of a row; neither column names nor check names can hold it."""


@dataclass(frozen=True)
class Statements:
    """The SELECTs of one contract, and what they need to find the latest row of a key.

    ``key`` are expressions over ``validated``; ``latest_first`` is the ORDER BY that puts the surviving row of a key
    first. ``clean`` ends with the partition column when the table is partitioned by a data column. ``emptied`` counts
    the good rows in which values became none by the reasons together; "" where no column is lenient. ``digests`` has,
    for each column that is hashed, the relation of its values, each once, with what they are hashed to.
    """

    validate: str
    quarantine: str
    clean: str
    key: tuple[str, ...]
    latest_first: str
    emptied: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)


def compile_contract(
    contract: Contract,
    key_id: str | None = None,
    carried: tuple[str, ...] = ("_file",),
    previous_key_id: str | None = None,
    kept_out: Mapping[str, Sequence[int]] = MappingProxyType({}),
    of_bytes: Collection[str] = (),
    looked_up: Collection[str] = (),
) -> Statements:
    """The statements of a contract.

    ``key_id`` names the hashing key and is stored beside what it hashed; with ``previous_key_id`` each digest has one
    under the key before beside it. ``carried`` are the columns of ``raw`` that ``validate`` and ``quarantine`` hand on.
    ``kept_out`` are the files of which no value of a column is stored, by the column. ``of_bytes`` are the columns that
    ``raw`` says of whether a value is no text. ``looked_up`` are those of the hashed columns whose relation of
    ``Statements.digests`` is there, under the name :func:`digests_of` gives, so that ``clean`` hashes nothing of them.

    Raises:
        PermanentFailure: an expression, pattern or bound that cannot be computed alike on every engine.
    """
    clashes = [c.name for c in contract.columns if c.name in INTERNAL_COLUMNS]
    if clashes:
        raise PermanentFailure(f"column {clashes[0]} has a name the transform uses itself; rename it and give field")
    _require_names_of_their_own(contract)
    contract = _identified(contract)
    return Statements(
        validate=_validate(contract, carried, of_bytes),
        quarantine=(
            f"select {', '.join(dict.fromkeys(('_file', '_row', *carried)))},"
            f" string_split(_reasons, '{SEPARATOR}') as reasons, _fields as fields"
            " from validated where _reasons <> ''"
        ),
        clean=_clean(contract, key_id, previous_key_id, kept_out, looked_up),
        key=tuple(_key_expression(contract.column(name)) for name in contract.key),
        latest_first=", ".join(
            (*(f"{identifier(name)} desc nulls last" for name in contract.latest_by), "_file desc", "_row desc")
        ),
        emptied=(
            "select _emptied, count(*) from validated where _emptied <> '' and _reasons = '' group by _emptied"
            if any(c.lenient for c in contract.columns)
            else ""
        ),
        digests={
            column.name: _digests(column, hashed)
            for column, pii in contract.pii_columns()
            if (hashed := _hashed(column, pii, previous_key_id is not None))
        },
    )


def digests_of(column: str) -> str:
    """The name of the relation with what the values of a column are hashed to."""
    return f"{column}:digests"


def emptied_counts(found: Iterable[Sequence[Any]]) -> dict[str, int]:
    """How many values became none, by reason, of the rows that ``Statements.emptied`` selects."""
    counts = Counter[str]()
    for reasons, rows in found:
        counts.update(dict.fromkeys(str(reasons).split(SEPARATOR), int(rows)))
    return dict(counts)


def no_text(name: str) -> str:
    """The name in ``raw`` of whether a column's value is bytes that are no text."""
    return f"{name}:no_text"


def stored_names(column: Column) -> tuple[str, ...]:
    """What a column may be called in the table: with personal data by its treatments, also during a rotation of keys.

    Raises:
        PermanentFailure: as :func:`adplatform.privacy.outputs.pii_outputs`.
    """
    if column.drop:
        return ()
    return tuple(each.name for each in pii_outputs(column, column.pii, previous=True)) if column.pii else (column.name,)


def _require_names_of_their_own(contract: Contract) -> None:
    owners: dict[str, str] = {}
    for column in contract.columns:
        for name in stored_names(column):
            if name in owners:
                raise PermanentFailure(
                    f"column {column.name}: it is stored as {name}, and so is {owners[name]}; rename one of them and"
                    " give the files' spelling as field"
                )
            owners[name] = column.name
    for each in named_columns(contract.naming):
        if each.name in owners:
            raise PermanentFailure(
                f"naming: {each.column}: {each.name} is what {owners[each.name]} is stored as; choose another prefix"
            )


def _identified(contract: Contract) -> Contract:
    """The contract with its key's columns as such by which rows are told apart."""
    columns = tuple(
        c.model_copy(update={"identifies": True}) if c.name in contract.key else c for c in contract.columns
    )
    return contract.model_copy(update={"columns": columns})


def output_columns(contract: Contract, *, previous: bool = False) -> tuple[OutputColumn, ...]:
    """The columns of the clean table in stored order, without the partition column (the path carries that).
    ``previous`` adds digests under the key before the current one."""
    columns = [output for _, output in _outputs(contract, previous)]
    columns.append(OutputColumn("_source_file", STRING, "The file the row came from, as the ledger calls it"))
    if contract.needs_key:
        columns.append(OutputColumn("_pii_key_id", STRING, "The key that hashed the row's personal data"))
        if previous:
            columns.append(OutputColumn(PREVIOUS_KEY_ID, STRING, "The key of the row's digests under the key before"))
    return tuple(columns)


def partition_column(contract: Contract) -> Column | None:
    """The data column that partitions the table, None for ``dt`` and for no partitions."""
    return None if contract.partition_by in (None, DELIVERY_DATE) else contract.column(str(contract.partition_by))


def _outputs(contract: Contract, previous: bool, looked_up: Collection[str] = ()) -> Iterator[tuple[str, OutputColumn]]:
    """Each stored data column with the SQL over ``latest`` that computes it."""
    for column in contract.columns:
        if column.pii and not column.drop:
            for output in pii_outputs(column, column.pii, previous=previous):
                found = column.name in looked_up and output.form in _HASHED
                yield _of_digests(column, output.name) if found else output.expression, _pii_column(column, output)
        elif not column.drop and column.name != contract.partition_by:
            yield (
                identifier(column.name),
                OutputColumn(column.name, column.data_type, column.comment, sources=_sources(column)),
            )
    if contract.naming:
        yield from naming.outputs(contract.naming)


def _sources(column: Column) -> tuple[str, ...]:
    if column.expression is None:
        return (column.name,)
    return tuple(sorted(expressions.names(column.expression, f"column {column.name}")))


def _pii_column(column: Column, output: PiiOutput) -> OutputColumn:
    kind = column.data_type if output.form == "clear" else STRING
    return OutputColumn(output.name, kind, output.comment or column.comment, dict(output.tags), _sources(column))


def _validate(contract: Contract, carried: tuple[str, ...], of_bytes: Collection[str]) -> str:
    """Raw text to typed values with the reasons against each row.

    One level per step, because a level can name what the one below computed: typed values, those without what is
    excused, computed columns, reasons, and the raw fields of bad rows.
    """
    typed = [f"{column_values.value(c, contract.format)} as {_read(c)}" for c in contract.read_columns]
    level = f"select *, {', '.join(typed)} from {_prepared(contract)}"
    excusable = [
        f"{_kept(contract, c, _read(c), of_bytes)} as {_typed(c)}" for c in contract.read_columns if c.excusable
    ]
    if excusable:
        level = f"select *, {', '.join(excusable)} from ({level})"
    computed = [f"{_computed(contract, c)} as {_typed(c)}" for c in contract.columns if c.expression]
    if computed:
        level = f"select *, {', '.join(computed)} from ({level})"
    reasons = ", ".join(_reasons(contract, of_bytes)) or "''"
    against = f"concat_ws('{SEPARATOR}', {reasons})"
    if contract.skip_rows_where:
        against = f"case when not {_left_out(contract)} then {against} end"
    judged = f"{against} as _reasons"
    if lenient := [c for c in contract.columns if c.lenient]:
        faults = (fault for c in lenient for fault in _faults(contract, c, _read(c), of_bytes))
        whens = ", ".join(f"case when {fault} then '{reason}' end" for fault, reason in faults)
        judged += f", concat_ws('{SEPARATOR}', {whens}) as _emptied"
    level = f"select *, {judged} from ({level})"
    fields = ", ".join(f"{literal(c.name)}: {identifier(c.name)}" for c in contract.read_columns)
    kept = ((c, _kept(contract, c, _typed(c), of_bytes) if c.expression else _typed(c)) for c in contract.columns)
    values = ", ".join(f"{value} as {identifier(c.name)}" for c, value in kept)
    as_json = f"case when _reasons <> '' then cast(to_json({{{fields}}}) as varchar) end"
    emptied = "_emptied, " if lenient else ""
    return f"select {', '.join(carried)}, {values}, _reasons, {emptied}{as_json} as _fields from ({level})"


def _left_out(contract: Contract) -> str:
    """Whether a row is left out, by its texts: true or false."""
    texts = {c.name: STRING for c in contract.read_columns}
    text = str(contract.skip_rows_where)
    tree = expressions.parse(text, "skip_rows_where", texts)
    expressions.require_condition_over_texts(tree, text, "skip_rows_where")
    for column in list(tree.find_all(exp.Column)):
        column.replace(exp.column(column.name, quoted=True))
    return f"coalesce(try({tree.sql('duckdb')}), false)"


def _prepared(contract: Contract) -> str:
    """``raw`` with what is computed of its texts before they are read."""
    of = "raw"
    for levels in zip_longest(*(column_values.levels(c, contract.format) for c in contract.read_columns), fillvalue={}):
        named = ", ".join(f"{sql} as {name}" for level in levels for name, sql in level.items())
        of = f"(select *, {named} from {of})"
    return of


def _typed(column: Column) -> str:
    """The name of a column's value while its raw text still goes by the plain name."""
    return identifier(f"{column.name}:value")


def _read(column: Column) -> str:
    """The name of what a column's text comes to, before it is known whether that is excused."""
    return identifier(f"{column.name}:read") if column.excusable else _typed(column)


def _computed(contract: Contract, column: Column) -> str:
    """``try``: DuckDB stops at an overflow where Spark goes on."""
    return f"try_cast(try({_expression(contract, column).sql('duckdb')}) as {rules.sql_type(column.data_type)})"


def _expression(contract: Contract, column: Column, reading: frozenset[str] = frozenset()) -> "exp.Expression":
    """A computed column over typed values; other computed columns are written out in place."""
    where, hidden = f"column {column.name}", column.pii or column.drop
    types = {
        c.name: c.data_type for c in contract.columns if hidden or not (c.pii or c.drop) or is_amount_of(c, column)
    }
    reading |= {column.name}
    known = {n: t for n, t in types.items() if n not in reading}
    tree = expressions.parse(str(column.expression), where, known, exact=column.data_type.name == "decimal")
    if column.data_type.name in ("int", "bigint") and not expressions.is_whole(tree, types):
        why = "may have a fraction; make the column decimal or double"
        raise expressions.BadExpression(where, str(column.expression), why)
    return _over_values(contract, tree, reading)


def _over_values(contract: Contract, tree: "exp.Expression", reading: frozenset[str]) -> "exp.Expression":
    """Integers count as decimals, so that sums and products fit, and one too large for its column is a bad value."""
    for node in list(tree.find_all(exp.Column)):
        column = contract.column(node.name)
        if column.expression and column.name not in reading:
            inner = _expression(contract, column, reading)
            node.replace(exp.TryCast(this=inner, to=exp.DataType.build(rules.sql_type(column.data_type), "duckdb")))
        else:
            value = exp.column(f"{column.name}:value", quoted=True)
            counts = column.data_type.name in ("int", "bigint") and node.find_ancestor(exp.Add, exp.Sub, exp.Mul)
            node.replace(exp.cast(value, "decimal(19,0)") if counts else value)
    return tree


def _reasons(contract: Contract, of_bytes: Collection[str]) -> Iterator[str]:
    """One CASE per possible reason, NULL when it does not hold."""
    types = {c.name: c.data_type for c in contract.columns}
    computed = frozenset(c.name for c in contract.columns if c.expression)
    for column in contract.columns:
        if column.lenient:
            continue
        judged = f"not {_excused(contract, column)} and " if column.unless else ""
        for fault, reason in _faults(contract, column, _typed(column), of_bytes):
            yield f"case when {judged}({fault}) then '{reason}' end"
    for check in contract.row_checks:
        tree = expressions.parse(check.expression, f"check {check.name}", types)
        condition = _over_values(contract, tree, computed).sql("duckdb")
        yield f"case when not try({condition}) then 'check:{check.name}' end"


def _typed_columns(contract: Contract) -> dict[str, DataType]:
    return {c.name: c.data_type for c in contract.columns}


def _kept(contract: Contract, column: Column, value: str, of_bytes: Collection[str]) -> str:
    """The ``value`` of a column, NULL where it breaks the contract and is excused."""
    found = _faults(contract, column, value, of_bytes) if column.excusable else ()
    faults = " or ".join(f"({fault})" for fault, _ in found)
    return f"case when {_excused(contract, column)} and ({faults}) then null else {value} end" if faults else value


def _excused(contract: Contract, column: Column) -> str:
    if column.lenient:
        return "true"
    judged = {c.name: c.data_type for c in contract.read_columns if not c.excusable}
    tree = expressions.parse(str(column.unless), f"column {column.name}: unless", judged)
    return f"coalesce(try({_over_values(contract, tree, frozenset()).sql('duckdb')}), false)"


def _faults(contract: Contract, column: Column, value: str, of_bytes: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each way in which a ``value`` breaks the contract: the condition, and the reason that stands for it."""
    unread = ""
    if column.name in of_bytes:
        flag = f"coalesce({identifier(no_text(column.name))}, false)"
        yield flag, f"bad_bytes:{column.name}"
        unread = f"not {flag} and "
    for fault, reason in (*_type_faults(contract, column, value), *_value_faults(column, value)):
        yield f"{unread}({fault})" if unread else fault, reason


def _type_faults(contract: Contract, column: Column, value: str) -> Iterator[tuple[str, str]]:
    name = column.name
    if column.expression:
        absent = f"try({_expression(contract, column).sql('duckdb')}) is null"
        given = f"not ({absent})"
    else:
        absent, given = (each(column, contract.format) for each in (column_values.is_absent, column_values.is_given))
        if column.required:
            yield absent, f"required:{name}"
    if column.expression:
        for tree in expressions.unreadable(column.expression, f"column {name}", _typed_columns(contract)):
            cond = _over_values(contract, exp.Paren(this=tree), frozenset({name})).sql("duckdb")
            yield f"try({cond})", f"bad_{column.data_type.name}:{name}"
    if column.data_type.name != "string":
        yield f"{value} is null and {given}", f"bad_{column.data_type.name}:{name}"
    if name == contract.partition_by and column.expression:
        yield f"{value} is null and {absent}", f"bad_partition:{name}"
    if name == contract.partition_by and column.data_type.name == "string":
        yield partition_values.unusable(value), f"bad_partition:{name}"


def _value_faults(column: Column, value: str) -> Iterator[tuple[str, str]]:
    name = column.name
    text = f"cast({value} as varchar)" if column.expression else column_values.text(column)
    if column.allowed:
        listed = ", ".join(literal(v) for v in column.allowed)
        yield f"{value} is not null and {text} not in ({listed})", f"not_allowed:{name}"
    if column.pattern is not None:
        matched = rules.matches(text, rules.portable_pattern(column))
        yield f"{value} is not null and not {matched}", f"pattern:{name}"
    if column.min is not None:
        yield f"{value} < {column_values.bound(column, 'min', column.min)}", f"below_min:{name}"
    if column.max is not None:
        yield f"{value} > {column_values.bound(column, 'max', column.max)}", f"above_max:{name}"


def _hashed(column: Column, pii: Pii, previous: bool) -> tuple[PiiOutput, ...]:
    outputs = () if column.drop else pii_outputs(column, pii, previous=previous)
    return tuple(output for output in outputs if output.form in _HASHED)


def _digests(column: Column, hashed: Iterable[PiiOutput]) -> str:
    """Each value of a column once, with what it is hashed to."""
    read = ", ".join(map(identifier, _hashed_with(column)))
    made = ", ".join(f"{output.expression} as {_of_digests(column, output.name)}" for output in hashed)
    named = ", ".join(f"{identifier(name)} as {_of_digests(column, name)}" for name in _hashed_with(column))
    good = f"_reasons = '' and {identifier(column.name)} is not null"
    return f"select {named}, {made} from (select distinct {read} from validated where {good})"


def _lookup(column: Column) -> str:
    """Joins what the values of a column are hashed to."""
    alike = (f"{identifier(name)} is not distinct from {_of_digests(column, name)}" for name in _hashed_with(column))
    return f" left join {identifier(digests_of(column.name))} on {' and '.join(alike)}"


def _hashed_with(column: Column) -> tuple[str, ...]:
    """The columns that a digest is made of."""
    country = column.pii.country_column if column.pii else None
    return (column.name, country) if country else (column.name,)


def _of_digests(column: Column, name: str) -> str:
    return identifier(f"{digests_of(column.name)}:{name}")


def _clean(
    contract: Contract,
    key_id: str | None,
    previous_key_id: str | None,
    kept_out: Mapping[str, Sequence[int]],
    looked_up: Collection[str],
) -> str:
    outputs = _outputs(contract, previous_key_id is not None, looked_up)
    columns = [
        f"{_without(expression, kept_out.get(output.name, ()))} as {identifier(output.name)}"
        for expression, output in outputs
    ]
    columns.append('_origin as "_source_file"')
    if contract.needs_key:
        columns.append(f'{literal(key_id or "")} as "_pii_key_id"')
        if previous_key_id is not None:
            columns.append(f"{literal(previous_key_id)} as {identifier(PREVIOUS_KEY_ID)}")
    partition = partition_column(contract)
    if partition:
        columns.append(identifier(partition.name))
    lookups = "".join(_lookup(contract.column(name)) for name in looked_up)
    rows = naming.named(contract.naming, "latest") if contract.naming else "latest"
    return f"select {', '.join(columns)} from {rows} join files using (_file){lookups}"


def _without(expression: str, files: Sequence[int]) -> str:
    return f"case when _file not in ({', '.join(map(str, files))}) then {expression} end" if files else expression


def _key_expression(column: Column) -> str:
    """Two rows have the same key when the clean table would store the same key for both.

    A personal value that cannot be normalised has no digest, so its text tells such rows apart.
    """
    text = identifier(column.name)
    if column.pii is None:
        return text
    digest = next((o.expression for o in pii_outputs(column, column.pii) if o.form in WHOLE_DIGESTS), None)
    return f"coalesce({digest}, {text})" if digest else text
