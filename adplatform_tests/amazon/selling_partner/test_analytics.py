"""Ready-made analytics reports: what of a row is what it is about, and what may be missing."""

from adplatform.amazon.selling_partner.analytics import ANALYTICS


def test_metrics_take_no_row_out_of_the_table_and_what_it_is_about_does() -> None:
    for definition in ANALYTICS:
        for dataset in definition.datasets:
            lenient = {c.field_name for c in dataset.columns if c.lenient}
            assert lenient == {c.field_name for c in dataset.columns if c.data_type.is_number}
            assert set(dataset.plotted) <= lenient
