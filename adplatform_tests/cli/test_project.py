"""What the commands for the project itself say of declarations, and what the demo tells people to try."""

import re
from pathlib import Path

import pytest
import sqlglot
import typer
from sqlglot import exp

from adplatform.cli.demo import HINTS
from adplatform.cli.project import validate
from adplatform.patterns import declared_patterns, read_defs
from adplatform.platform.settings import read_settings
from adplatform.transform.compile import output_columns

README = Path(__file__).parents[2] / "README.md"
ADS = """
type: adplatform.components.AmazonAdsReports
attributes: {{source: {source}, credentials: ads, start_date: 2026-01-01, reports: [{report}]}}
"""


def declare(folder: Path, source: str, report: str = "sp_campaigns") -> None:
    folder.mkdir()
    (folder / "defs.yaml").write_text(ADS.format(source=source, report=report), encoding="utf-8")


def test_mistakes_that_only_show_between_or_behind_declarations_are_reported_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(tmp_path / "a", "ads")
    declare(tmp_path / "b", "ads")
    declare(tmp_path / "c", "brand", "{name: ads_daily, extends: sp_campaigns}")
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    twice, taken = capsys.readouterr().err.splitlines()
    assert twice.startswith(f"{tmp_path}/b/defs.yaml:2: source: ads is declared in {tmp_path}/a/defs.yaml:2 already")
    assert taken.startswith(f"{tmp_path}/c/defs.yaml:2: brand: ads_daily is the name of its daily fact")


def test_a_database_that_glue_cannot_read_is_refused_with_file_and_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.DatabaseTables\nattributes:\n  source: shop\n  connection: shop/database\n"
        "  dialect: mysql\n  engine: glue\n"
        "  feeds: [{name: orders, start_date: 2026-01-01, columns: {id: {type: bigint, required: true}}}]\n",
        encoding="utf-8",
    )
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    [reported] = capsys.readouterr().err.splitlines()
    assert reported.startswith(f"{tmp_path}/defs.yaml:")
    assert "engine: glue reads PostgreSQL, and dialect is mysql: leave engine out" in reported


def test_a_source_whose_queue_or_rule_could_not_be_named_is_refused_with_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partner = (
        "type: adplatform.components.PartnerPush\nattributes:\n  source: {}\n"
        "  feeds: [{{name: orders, start_date: 2026-01-01, columns: {{id: string}}}}]\n"
    )
    for name in ("a" * 44, "b" * 45):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(partner.format(name), encoding="utf-8")
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    [reported] = capsys.readouterr().err.splitlines()
    assert f"source '{'b' * 45}': the name is too long: EventBridge takes 64 characters" in reported
    assert reported.endswith("leaves 44")


@pytest.mark.parametrize(
    ("setting", "reported"),
    [
        ("profiles: {countries: US}", "must be a list"),
        ("tags: owner", "must be a mapping"),
        ("profiles: {countries: [NO]}", "must be a text; put it in quotes"),
    ],
)
def test_values_of_a_wrong_kind_are_reported_in_the_words_of_yaml(tmp_path: Path, setting: str, reported: str) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(
        "type: adplatform.components.AmazonAdsReports\nattributes:\n  source: ads\n  credentials: ads\n"
        f"  start_date: 2026-01-01\n  reports: [sp_campaigns]\n  {setting}\n",
        encoding="utf-8",
    )
    _, mistakes = read_defs(tmp_path)
    assert any(reported in mistake.reason and mistake.line == 7 for mistake in mistakes), mistakes


def test_an_expression_that_reaches_out_of_its_row_is_refused_with_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n  feeds:\n"
        "    - name: orders\n      start_date: 2026-01-01\n      columns:\n        id: string\n"
        "        note: {expression: \"read_text('/etc/hostname')\"}\n"
        "    - name: returns\n      start_date: 2026-01-01\n      columns:\n        id: string\n      row_checks:\n"
        "        - name: it\n          expression: id = getenv('HOME')\n",
        encoding="utf-8",
    )
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    column, check = capsys.readouterr().err.splitlines()
    assert column.startswith(f"{tmp_path}/defs.yaml:9: feeds.orders: column note: ")
    assert "uses read_text, which is not allowed; allowed are" in column
    assert check.startswith(f"{tmp_path}/defs.yaml:16: feeds.returns: check it: ")
    assert "uses getenv, which is not allowed" in check


def test_what_a_service_cannot_take_of_a_table_is_reported_with_its_own_line_and_warnings_refuse_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = (
        "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n  feeds:\n"
        "    - {name: other, start_date: 2026-01-01, columns: {id: string}, consumers: athena}\n"
        "    - name: members\n      start_date: 2026-01-01\n"
        "      columns: {id: string, phone: {pii: {kind: phone, treatment: clear}}}\n      consumers:\n"
        "        athena:\n        quicksight:\n          refresh: daily\n          columns: [id, phone]\n"
        "        clean_rooms:\n"
    )
    (tmp_path / "defs.yaml").write_text(declared, encoding="utf-8")
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    warned, refused = capsys.readouterr().err.splitlines()
    where = f"{tmp_path}/defs.yaml:{{}}: feeds.members.consumers.{{}}: "
    assert warned.startswith(where.format(14, "clean_rooms.rule") + "there is no rule, so nobody can query the table")
    assert warned.endswith(" (a warning)")
    assert refused.startswith(
        where.format(13, "quicksight.columns") + "column phone: it is personal (phone) and stored"
    )
    (tmp_path / "defs.yaml").write_text(declared.replace("[id, phone]", "[id]"), encoding="utf-8")
    validate(tmp_path)


def test_what_a_service_cannot_take_of_reports_is_reported_for_each_table_with_its_partition_of_scopes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    consumers = "consumers: {quicksight: {columns: [dt, profile_id, clicks, costs]}}"
    declared = ADS.format(source="ads", report="sp_campaigns").replace("}\n", f", {consumers}}}\n")
    (tmp_path / "defs.yaml").write_text(declared, encoding="utf-8")
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    where = f"{tmp_path}/defs.yaml:3: consumers.quicksight.columns: table"
    assert capsys.readouterr().err.splitlines() == [
        f"{where} {table}: column costs: the table has no such column (did you mean cost?)"
        for table in ("sp_campaigns", "ads_daily")
    ]


@pytest.mark.parametrize("text", [HINTS, README.read_text(encoding="utf-8")], ids=["demo", "README"])
def test_queries_that_people_are_advised_to_try_name_tables_and_columns_that_there_are(text: str) -> None:
    settings = read_settings()
    sources = [pattern.source for pattern in declared_patterns(settings)]
    flows = [flow for source in sources for flow in (*source.feeds, *source.derived)]
    known = {f"clean_{flow.source}.{flow.feed.name}": output_columns(flow.feed.contract) for flow in flows}
    queries = [
        sqlglot.parse_one(q.replace("group by all", "").replace("order by 1", ""), read="duckdb")
        for q in re.findall(r'adplatform query "(select[^"]*northwind[^"]*|select[^"]*clubcard[^"]*)"', text)
    ]
    assert queries
    for query in queries:
        [table] = query.find_all(exp.Table)
        columns = {c.name for c in known[f"{table.db}.{table.name}"]} | {"dt"}
        assert {column.name for column in query.find_all(exp.Column)} <= columns


def test_settings_under_earlier_names_are_valid_and_reported_with_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n"
        "  feeds: [{name: orders, start_date: 2026-01-01, columns: {id: {source: Order Id}}}]\n",
        encoding="utf-8",
    )
    validate(tmp_path)
    said = capsys.readouterr()
    assert said.err == f"{tmp_path}/defs.yaml:1: column id: the setting source is called field now; write field\n"
    assert said.out == "1 sources with 1 feeds are valid\n"


def test_feeds_of_which_dagster_would_call_something_the_same_are_refused_with_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, feed in (("shop", "live_orders"), ("shop_live", "orders")):
        (tmp_path / source).mkdir()
        (tmp_path / source / "defs.yaml").write_text(
            f"type: adplatform.components.PartnerPush\nattributes:\n  source: {source}\n  feeds:\n"
            f"    - {{name: {feed}, start_date: 2026-01-01, arrival: {{deadline: 9h}}, columns: {{id: string}}}}\n",
            encoding="utf-8",
        )
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    [reported] = capsys.readouterr().err.splitlines()
    assert reported.startswith("shop/live_orders and shop_live/orders would both have shop_live_orders_deadline")


def test_a_feed_that_begins_on_another_date_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feeds = "".join(
        f"    - {{name: {name}, start_date: {start}, columns: {{id: string}}}}\n"
        for name, start in (("one", "2026-01-01"), ("two", "2025-01-01"))
    )
    (tmp_path / "defs.yaml").write_text(
        f"type: adplatform.components.PartnerPush\nattributes:\n  source: shop\n  feeds:\n{feeds}", encoding="utf-8"
    )
    validate(tmp_path)
    assert "1 sources with 2 feeds are valid" in capsys.readouterr().out


def test_what_an_ad_platform_cannot_match_is_reported_with_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n  feeds:\n"
        "    - name: members\n      start_date: 2026-01-01\n      columns: {email: {pii: email}}\n"
        "      activations:\n        meta: {}\n        google: {columns: {phone: email}}\n",
        encoding="utf-8",
    )
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    said = capsys.readouterr().err.splitlines()
    *google, meta = [line for line in said if "(a warning)" not in line]
    assert f"{tmp_path}/defs.yaml:10: feeds.members.activations.google.consent: nothing says who has" in said[0]
    assert meta.startswith(f"{tmp_path}/defs.yaml:9: feeds.members.activations.meta: no row could be matched: ")
    assert "feeds.members.activations.google.columns.phone: column email: it is not stored as phone" in google[0]


def test_what_a_fact_maps_and_a_declared_table_does_not_have_is_reported_with_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "defs.yaml").write_text(
        "type: adplatform.components.PartnerPush\nattributes:\n  source: acme\n  feeds:\n"
        "    - {name: spend, start_date: 2026-01-01, columns: {ad: string, paid: int, who: {pii: email}}}\n"
        "    - {name: rates, start_date: 2026-01-01, columns: {cur: string, rate: string}, partition_by: null}\n"
        "---\ntype: adplatform.components.MarketingFact\nattributes:\n  source: marketing\n"
        "  start_date: 2026-01-01\n  currency: EUR\n  inputs:\n"
        "    - table: acme/spend\n      values: {channel: tv, currency: USD}\n      columns:\n"
        "        campaign: add\n        account: who_lake\n        cost: ad\n        clicks: paid\n"
        "    - {table: acme/spent, values: {channel: tv}, columns: {campaign: ad, clicks: paid}}\n"
        "  rates: {table: acme/rates, date: day, currency: cur}\n"
        "---\ntype: adplatform.components.MarketingFact\nattributes:\n  source: wide\n"
        "  start_date: 2026-01-01\n  currency: EUR\n"
        "  inputs: [{table: acme/spend, values: {channel: tv}, columns: {campaign: ad, clicks: paid}}]\n"
        "  rates: {table: acme/rates, date: cur, is_of: fact, currencies: [CUR, USD]}\n",
        encoding="utf-8",
    )
    with pytest.raises(typer.Exit):
        validate(tmp_path)
    reported = {line.removeprefix(f"{tmp_path}/defs.yaml:") for line in capsys.readouterr().err.splitlines()}
    assert reported == {
        "17: inputs.0.columns.campaign: acme/spend has no column add (did you mean ad?)",
        "18: inputs.0.columns.account: who_lake of acme/spend is personal, and a fact of campaigns has nothing of "
        "persons",
        "19: inputs.0.columns.cost: ad of acme/spend is string, and no number",
        "21: inputs.1.table: no source declared here has the table acme/spent (did you mean acme/spend?); another "
        "project may have it (a warning)",
        "22: rates.date: acme/rates has no column day",
        "22: rates.rate: rate of acme/rates is string, and no number",
        "30: rates.date: cur of acme/rates is string, and no date",
        "30: rates.currencies: cur of acme/rates is string, and no number",
        "30: rates.currencies: acme/rates has no column usd",
    }
