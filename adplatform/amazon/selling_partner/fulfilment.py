"""Ready-made reports of returns, reimbursements and the inventory ledger: flat files and XML, restated for weeks.

Columns are those that the Selling Partner API lists for each type (reports attributes: FBA customer concessions, FBA
payments, FBA inventory, returns). Amazon says that it makes a daily report of FBA once in four hours at most, that a
report of returns is of 60 days at most, and that the ledger goes back 18 months. For how long it keeps the others is
not written down: they are asked for as long as the ledger.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from adplatform.amazon.definitions import Dataset, ReportDefinition, columns_of, snake_case, with_metrics
from adplatform.amazon.restatement import RestatementPolicy
from adplatform.amazon.selling_partner.analytics import MONEY
from adplatform.contracts.column import Column

_MADE_EVERY = timedelta(hours=4)
_POLICY = RestatementPolicy(
    daily=tuple(range(1, 8)),
    waves=(14, 30, 60),
    max_range_days=30,
    retention_days=540,
    backfill_per_day=4,
    closes=False,
    made_every=_MADE_EVERY,
)
"""What happens to a unit that came back is known within weeks: it is inspected, put back, refunded or reimbursed."""


def _texts(names: Iterable[str], required: tuple[str, ...] = ()) -> tuple[Column, ...]:
    return columns_of([(name, "string") for name in names], required)


def _integers(names: Iterable[str]) -> tuple[Column, ...]:
    return columns_of([(name, "int") for name in names])


def _report(name: str, report_type: str, dataset: Dataset, policy: RestatementPolicy) -> ReportDefinition:
    return ReportDefinition(
        name=name,
        api="selling_partner",
        report_type=report_type,
        layout="tsv",
        configuration={},
        datasets=(dataset,),
        policy=policy,
    )


def _written_by_buyers(source: str) -> Column:
    """Free text, in which buyers name themselves, their addresses and telephones: no form of it could be stored that is
    both of use and without persons."""
    return Column(
        name=snake_case(source), field=source, drop=True, comment="What the buyer wrote: it may name persons; not kept."
    )


_CUSTOMER_RETURNS = _report(
    "customer_returns",
    "GET_FBA_FULFILLMENT_CUSTOMER_RETURNS_DATA",
    Dataset(
        feed="customer_returns",
        date_field="return-date",
        description="Units that buyers sent back to Amazon's fulfilment centres, by date of their return.",
        plotted=("quantity",),
        schema_policy="evolve",
        localized=True,
        columns=(
            *columns_of([("return-date", "timestamp")], required=("return-date",)),
            *_texts(("order-id", "sku", "asin", "fnsku", "product-name"), required=("order-id",)),
            *_integers(("quantity",)),
            *_texts(("fulfillment-center-id", "detailed-disposition", "reason", "status", "license-plate-number")),
            _written_by_buyers("customer-comments"),
        ),
    ),
    _POLICY,
)
_REIMBURSEMENTS = _report(
    "reimbursements",
    "GET_FBA_REIMBURSEMENTS_DATA",
    Dataset(
        feed="reimbursements",
        date_field="approval-date",
        description="What Amazon paid, or replaced, for units that it lost or damaged, by date of approval.",
        plotted=("amount-total", "quantity-reimbursed-total"),
        schema_policy="evolve",
        localized=True,
        columns=(
            *columns_of([("approval-date", "timestamp")], required=("approval-date",)),
            *_texts(("reimbursement-id", "case-id", "amazon-order-id", "reason"), required=("reimbursement-id",)),
            *_texts(("sku", "fnsku", "asin", "product-name", "condition", "currency-unit")),
            *columns_of([("amount-per-unit", MONEY), ("amount-total", MONEY)]),
            *_integers(f"quantity-reimbursed-{how}" for how in ("cash", "inventory", "total")),
            *_texts(("original-reimbursement-id", "original-reimbursement-type")),
        ),
    ),
    # Corrections are reimbursements of their own, with a date of theirs.
    replace(_POLICY, daily=(1, 2, 3), waves=(7, 30)),
)

_RETURN_DATES = ("Order date", "Return delivery date")
_RETURN_MONEY = ("Label cost", "Order Amount", "SafeT claim reimbursement amount", "Refunded Amount")
_SELLER_RETURNS = _report(
    "seller_returns",
    "GET_FLAT_FILE_RETURNS_DATA_BY_RETURN_DATE",
    Dataset(
        feed="seller_returns",
        date_field="Return request date",
        description="Returns of orders that the seller sends himself, by date of the buyer's request.",
        plotted=("Return quantity", "Refunded Amount"),
        schema_policy="evolve",
        localized=True,
        columns=(
            *_texts(("Order ID",), required=("Order ID",)),
            *columns_of([("Return request date", "date")], required=("Return request date",)),
            *columns_of([(name, "date") for name in _RETURN_DATES]),
            *_texts(("Return request status", "Amazon RMA ID", "Merchant RMA ID", "Label type", "Currency code")),
            *_texts(("Return carrier", "Tracking ID", "Label to be paid by", "A-to-Z Claim", "Is prime", "ASIN")),
            *_texts(("Merchant SKU", "Item Name", "Return Reason", "In policy", "Return type", "Resolution")),
            *_texts(("Invoice number", "SafeT Action reason", "SafeT claim id", "SafeT claim state")),
            *_texts(("SafeT claim creation time",)),
            *_integers(("Return quantity", "Order quantity")),
            *columns_of([(name, MONEY) for name in _RETURN_MONEY]),
        ),
    ),
    replace(_POLICY, made_every=timedelta(0)),
)

_XML_RETURNS = "AmazonEnvelope.Message.return_details"
_OF_RETURN = columns_of(
    [("order_id", "string"), ("amazon_rma_id", "string"), ("return_request_date", "timestamp")],
    required=("order_id", "return_request_date"),
)
_RETURNS_WITH_ITEMS = ReportDefinition(
    name="seller_returns_with_items",
    api="selling_partner",
    report_type="GET_XML_RETURNS_DATA_BY_RETURN_DATE",
    layout="xml",
    configuration={},
    datasets=(
        Dataset(
            feed="seller_returns_with_items",
            records=_XML_RETURNS,
            date_field="return_request_date",
            description="Returns of orders that the seller sends himself, a row for each, by date of the request.",
            plotted=("order_quantity", "order_amount"),
            schema_policy="evolve",
            columns=(
                *_OF_RETURN,
                *columns_of([("order_date", "timestamp"), ("order_amount", MONEY), ("order_quantity", "int")]),
                *_texts(("return_request_status", "a_to_z_claim", "is_prime", "label_to_be_paid_by", "return_type")),
                *columns_of([("label_details.label_cost", MONEY)]),
                *_texts(f"label_details.{n}" for n in ("currency_code", "label_type", "return_carrier", "tracking_id")),
            ),
        ),
        Dataset(
            feed="seller_returns_with_items_items",
            records=_XML_RETURNS,
            each="item_details",
            date_field="return_request_date",
            description="The items of returns, by date of the request.",
            plotted=("item_details.return_quantity", "item_details.refund_amount"),
            schema_policy="evolve",
            columns=(
                *_OF_RETURN,
                *_texts(f"item_details.{n}" for n in ("asin", "merchant_sku", "item_name", "return_reason_code")),
                *_texts(f"item_details.{n}" for n in ("in_policy", "resolution", "category")),
                *columns_of([("item_details.return_quantity", "int"), ("item_details.refund_amount", MONEY)]),
            ),
        ),
    ),
    policy=_SELLER_RETURNS.policy,
)

_LEDGER_POLICY = replace(_POLICY, daily=(1, 2, 3, 7), waves=(14, 30))
_MOVED = (
    *("Starting Warehouse Balance", "In Transit Between Warehouses", "Receipts", "Customer Shipments"),
    *("Customer Returns", "Vendor Returns", "Warehouse Transfer In/Out", "Found", "Lost", "Damaged", "Disposed"),
    *("Other Events", "Ending Warehouse Balance", "Unknown Events"),
)
_LEDGER_DATE = Column(name="date", field="Date", type="date", formats=("%m/%d/%Y",), required=True)
"""Every marketplace has the month first here."""
_LEDGER_SUMMARY = replace(
    _report(
        "ledger_summary",
        "GET_LEDGER_SUMMARY_VIEW_DATA",
        Dataset(
            feed="ledger_summary",
            date_field="Date",
            description="Balances and movements of stock in Amazon's fulfilment centres, by day and country.",
            plotted=("Ending Warehouse Balance", "Customer Shipments"),
            schema_policy="evolve",
            columns=(
                _LEDGER_DATE,
                *_texts(("FNSKU", "ASIN", "MSKU", "Title", "Disposition"), required=("FNSKU",)),
                *_integers(_MOVED),
                *_texts(("Location", "Store")),
            ),
        ),
        _LEDGER_POLICY,
    ),
    configuration={"aggregateByLocation": "COUNTRY", "aggregatedByTimePeriod": "DAILY"},
)
_LEDGER_DETAIL = _report(
    "ledger_detail",
    "GET_LEDGER_DETAIL_VIEW_DATA",
    Dataset(
        feed="ledger_detail",
        date_field="Date",
        description="Every movement of stock to, from and in Amazon's fulfilment centres. Equal rows are several.",
        plotted=("Quantity",),
        schema_policy="evolve",
        columns=(
            _LEDGER_DATE,
            *_texts(("FNSKU", "ASIN", "MSKU", "Title", "Event Type", "Reference ID"), required=("FNSKU", "Event Type")),
            *_integers(("Quantity",)),
            *_texts(("Fulfillment Center", "Disposition", "Reason", "Country")),
            *_integers(("Reconciled Quantity", "Unreconciled Quantity")),
            *columns_of([("Date and Time", "timestamp")]),
            *_texts(("Store",)),
        ),
    ),
    _LEDGER_POLICY,
)


def _lenient(definition: ReportDefinition) -> ReportDefinition:
    datasets = (replace(dataset, columns=with_metrics(dataset.columns)) for dataset in definition.datasets)
    return replace(definition, datasets=tuple(datasets))


FULFILMENT = tuple(
    map(
        _lenient,
        (
            *(_CUSTOMER_RETURNS, _SELLER_RETURNS, _RETURNS_WITH_ITEMS, _REIMBURSEMENTS),
            *(_LEDGER_SUMMARY, _LEDGER_DETAIL),
        ),
    )
)
