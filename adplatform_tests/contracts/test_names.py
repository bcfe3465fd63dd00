"""Names as others write them become names here."""

from adplatform.contracts.names import catalog_names, feed_name


def test_names_become_names_of_the_catalog() -> None:
    assert catalog_names(["A b", "a_b", "dt", "1st", "ümlaut", "Straße", "campaignId", "eCPM", "*"]) == {
        "A b": "a_b",
        "a_b": "a_b_2",
        "dt": "c_dt",
        "1st": "c_1st",
        "ümlaut": "umlaut",
        "Straße": "strasse",
        "campaignId": "campaign_id",
        "eCPM": "ecpm",
        "*": "column",
    }
    assert (feed_name("Order Lines"), feed_name("2026")) == ("order_lines", "t_2026")


def test_a_name_that_is_taken_becomes_another() -> None:
    assert catalog_names(["rowid", "c_rowid", "_source_file"], {"rowid"}) == {
        "rowid": "c_rowid",
        "c_rowid": "c_rowid_2",
        "_source_file": "source_file",
    }
