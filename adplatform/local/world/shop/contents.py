"""The tables of the simulated shop and what is in them at first: a function of the day on which it was made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from adplatform.local.world.draws import draw, number
from adplatform.local.world.partners import FIRST_NAMES, LAST_NAMES, PHONES

TABLES = {
    "customers": "id email first_name last_name phone city country created_at updated_at",
    "products": "id sku name category price updated_at",
    "orders": "id customer_id status amount ordered_at updated_at",
    "order_lines": "order_id line product_id quantity price",
}
"""The columns of each table."""
DAYS, CUSTOMERS, ORDERS = 90, 600, 3000
"""How long a new shop has been open, and who bought how often."""
STATUSES = ("placed", "paid", "shipped", "delivered", "returned")
UNPAID, UNKNOWN = (700, 1900), "NaN"
"""Orders whose amount the till could not add up: PostgreSQL takes NaN for a number, and a contract does not."""
_CITIES = {
    "DE": ("Berlin", "Köln", "Leipzig"),
    "FR": ("Lyon", "Paris"),
    "GB": ("Leeds", "London"),
    "US": ("Austin", "Boston", "Portland"),
}
_CATEGORIES = ("Shoes", "Jackets", "Bags", "Socks", "Hats")
_SCHEMA = """
CREATE TABLE customers (
    id bigint PRIMARY KEY, email text, first_name text, last_name text, phone text, city text, country char(2) NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE products (
    id bigint PRIMARY KEY, sku text NOT NULL UNIQUE, name text NOT NULL, category text NOT NULL,
    price numeric(12,2) NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, status text NOT NULL,
    amount numeric(12,2) NOT NULL, ordered_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
CREATE INDEX ON orders (updated_at);
CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, line int NOT NULL,
    product_id bigint NOT NULL REFERENCES products, quantity int NOT NULL, price numeric(12,2) NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE SCHEMA simulation;
CREATE TABLE simulation.trades (number int PRIMARY KEY, orders int NOT NULL, at timestamptz NOT NULL);
"""


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    product: int
    quantity: int
    price: Decimal


def fill(connection: Any, today: date) -> None:
    """Make the tables, with all that was sold in the ``DAYS`` before a day."""
    connection.execute(_SCHEMA)
    end = datetime.combine(today, time(), UTC)
    begin = end - timedelta(days=DAYS)
    copy(connection, "products", ((n, *product(n), begin) for n in range(1, PRODUCTS + 1)))
    since = (begin + timedelta(days=DAYS) * n / (CUSTOMERS + 1) for n in range(1, CUSTOMERS + 1))
    copy(connection, "customers", ((n, *customer(n), at, at) for n, at in enumerate(since, start=1)))
    copy(connection, "orders", _orders(begin, end))
    copy(connection, "order_lines", (row for n in range(1, ORDERS + 1) for row in line_rows(n)))


def copy(connection: Any, table: str, rows: Iterator[Sequence[Any]]) -> None:
    """Put rows into a table."""
    with connection.cursor().copy(f"COPY {table} ({', '.join(TABLES[table].split())}) FROM STDIN") as into:
        for row in rows:
            into.write_row(row)


PRODUCTS = 60


def product(number_of_it: int) -> tuple[str, str, str, Decimal]:
    """Its sku, name, category and price."""
    category = _CATEGORIES[number_of_it % len(_CATEGORIES)]
    price = Decimal(500 + number("price", number_of_it, below=20_000)) / 100
    return f"NW-{number_of_it:04}", f"{category} No. {number_of_it}", category, price


def customer(id: int) -> tuple[str, str, str, str, str, str]:
    """E-mail, first and last name, phone, city and country."""
    drawn = draw("customer", id)
    country = sorted(_CITIES)[int(drawn[0] * len(_CITIES))]
    first = FIRST_NAMES[int(drawn[1] * len(FIRST_NAMES))]
    last = LAST_NAMES[int(drawn[2] * len(LAST_NAMES))]
    city = _CITIES[country][int(drawn[3] * len(_CITIES[country]))]
    phone = PHONES[country].format(number("phone", id, below=10_000))
    return f"Customer{id}@Example.com", first, last, phone, city, country


def lines(order: int) -> list[Line]:
    """What was ordered; of the same product only once."""
    products = {1 + number("line", order, n, below=PRODUCTS) for n in range(1 + number("lines", order, below=4))}
    return [Line(p, 1 + number("quantity", order, p, below=3), product(p)[3]) for p in sorted(products)]


def line_rows(order: int) -> list[tuple[Any, ...]]:
    return [(order, n, each.product, each.quantity, each.price) for n, each in enumerate(lines(order), start=1)]


def amount(order: int) -> Decimal:
    """What its lines cost together."""
    return sum((each.quantity * each.price for each in lines(order)), Decimal(0))


def _orders(begin: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    for n in range(1, ORDERS + 1):
        at = begin + (end - begin) * n / (ORDERS + 1)
        age, known = end - at, draw("order", n)
        status = STATUSES[min(int(age / timedelta(days=2)), 3)] if known[0] < 0.97 else "returned"
        changed = at + min(age, timedelta(days=8)) * known[1]
        buyer = 1 + int(known[2] * CUSTOMERS * n / (ORDERS + 1))
        yield n, buyer, status, UNKNOWN if n in UNPAID else amount(n), at, changed
