"""Files of changes become a table of rows: what a database has, whatever order its changes come in."""

from decimal import Decimal

from adplatform.flow.services import Services
from adplatform_tests.support.changes import followed_source


def test_a_load_and_the_changes_since_become_the_rows_of_the_table(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "new", "amount": Decimal("1.50")}, {"id": 2, "status": "new"})
    assert (first := shop.merge()) and first.changes == 2
    assert shop.rows() == [(1, "new", Decimal("1.50")), (2, "new", None)]
    shop.file(
        shop.change("U", id=1, status="paid", amount=Decimal("1.50")),
        shop.change("D", id=2),
        shop.change("I", id=3, status="new", amount=Decimal(7)),
    )
    done = shop.merge()
    assert done and (done.changes, done.applied, done.superseded) == (3, 3, 0)
    assert shop.rows() == [(1, "paid", Decimal("1.50")), (3, "new", Decimal("7.00"))]
    assert shop.rows("_deleted", "id, status") == [(2, "new")]
    assert shop.fold() is None
