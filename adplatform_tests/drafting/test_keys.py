"""Which columns may be a key."""

from adplatform.drafting.keys import Candidate, key_candidate

DAYS = [f"2026-01-{1 + n % 10:02d}" for n in range(30)]
CAMPAIGNS = [f"c{n // 10}" for n in range(30)]


def test_an_id_without_gaps_and_doubles_is_a_key() -> None:
    columns = {"amount": [str(n) for n in range(30)], "order_id": [f"o{n}" for n in range(30)]}
    assert key_candidate(columns, {"amount": "bigint", "order_id": "string"}) == Candidate(("order_id",), sure=True)


def test_few_rows_or_another_name_make_it_a_candidate_only() -> None:
    few = key_candidate({"order_id": ["a", "b"]}, {"order_id": "string"})
    other = key_candidate({"label": [f"x{n}" for n in range(30)]}, {"label": "string"})
    assert (few, other) == (Candidate(("order_id",), sure=False), Candidate(("label",), sure=False))


def test_a_date_with_the_fewest_ids_and_texts_is_one() -> None:
    columns = {
        "day": DAYS,
        "campaign_id": CAMPAIGNS,
        "device": ["tv"] * 30,
        "clicks": [str(n % 3) for n in range(30)],
    }
    types = {"day": "date", "campaign_id": "string", "device": "string", "clicks": "bigint"}
    assert key_candidate(columns, types) == Candidate(("day", "campaign_id"), sure=False)


def test_there_is_none_with_gaps_or_doubles() -> None:
    assert key_candidate({"order_id": ["a", None, "c"]}, {"order_id": "string"}) is None
    assert key_candidate({"day": DAYS, "campaign": ["a"] * 30}, {"day": "date", "campaign": "string"}) is None
    assert key_candidate({"cost": [f"{n}.5" for n in range(30)]}, {"cost": "decimal(12,2)"}) is None
