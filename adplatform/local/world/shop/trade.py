"""What happens in the simulated shop while it is open: writes in several transactions, the same for the same state."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adplatform.local.world.draws import number
from adplatform.local.world.shop.contents import STATUSES, amount, copy, customer, line_rows

_TOGETHER = 10
"""Orders that come in one transaction."""


def trade(connection: Any, orders: int, now: datetime) -> dict[str, int]:
    """So many new orders, a fifth of them by new customers; for each of them another goes on to its next status. Of the
    others some are corrected or deleted, and customers move. What was counted, by kind."""
    done = {"transactions": 0, "customers": 0, "orders": 0, "statuses": 0, "corrections": 0, "moves": 0, "deletes": 0}
    with connection.transaction():
        trade_number = _next(connection, "simulation.trades", "number")
        connection.execute("INSERT INTO simulation.trades VALUES (%s, %s, %s)", (trade_number, orders, now))
        first = _next(connection, "customers", "id")
        new = range(first, first + -(-orders // 5))
        copy(connection, "customers", ((id, *customer(id), now, now) for id in new))
    done["transactions"] += 1
    done["customers"] = len(new)
    first = _next(connection, "orders", "id")
    for begin in range(first, first + orders, _TOGETHER):
        with connection.transaction():
            ids = range(begin, min(begin + _TOGETHER, first + orders))
            buyers = {id: 1 + number("buyer", trade_number, id, below=new[-1]) for id in ids}
            copy(connection, "orders", ((id, buyers[id], STATUSES[0], amount(id), now, now) for id in ids))
            copy(connection, "order_lines", (row for id in ids for row in line_rows(id)))
        done["transactions"] += 1
    done["orders"] = orders
    for kind, wanted, statement, among in _CHANGES:
        with connection.transaction():
            known = [row[0] for row in connection.execute(among, {"first": first}).fetchall()]
            for id in _some(known, min(orders, max(1, orders * wanted // 10)), kind, trade_number):
                connection.execute(statement, {"id": id, "now": now, "amount": amount(id), "city": f"City {id % 7}"})
                done[kind] += 1
        done["transactions"] += 1
    return done


_CHANGES = (
    (
        "statuses",
        10,
        "UPDATE orders SET updated_at = %(now)s, status = CASE status WHEN 'placed' THEN 'paid' WHEN 'paid' THEN"
        " 'shipped' ELSE 'delivered' END WHERE id = %(id)s",
        "SELECT id FROM orders WHERE id < %(first)s AND status IN ('placed', 'paid', 'shipped') ORDER BY id",
    ),
    (
        "corrections",
        2,
        "UPDATE orders SET updated_at = %(now)s, amount = CASE amount WHEN 'NaN' THEN %(amount)s ELSE amount - 1 END"
        " WHERE id = %(id)s",
        "SELECT id FROM orders WHERE id < %(first)s AND (amount = 'NaN'"
        " OR amount > 1 AND NOT EXISTS (SELECT FROM orders WHERE amount = 'NaN')) ORDER BY id",
    ),
    (
        "moves",
        2,
        "UPDATE customers SET updated_at = %(now)s, city = %(city)s WHERE id = %(id)s",
        "SELECT id FROM customers ORDER BY id",
    ),
    (
        "deletes",
        1,
        "DELETE FROM orders WHERE id = %(id)s",
        "SELECT id FROM orders WHERE id < %(first)s AND status IN ('placed', 'returned') ORDER BY id",
    ),
)
"""What changes beside new orders: its kind, how many of ten new orders, the statement for one, and among which ids."""


def _next(connection: Any, table: str, column: str) -> int:
    return int(connection.execute(f"SELECT coalesce(max({column}), 0) + 1 FROM {table}").fetchone()[0])


def _some(ids: Sequence[int], most: int, *why: object) -> list[int]:
    return sorted(ids, key=lambda id: number(*why, id, below=1 << 32))[:most]
