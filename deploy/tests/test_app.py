"""The app as a whole, and what a person tells it."""

import re
import textwrap
from pathlib import Path

import pytest

from adplatform.failures import PermanentFailure
from deploy.config import read_config
from deploy.estate import read_estate
from deploy.roles import allow

CONFIG = (Path(__file__).parent / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ('account: "111111111111"', "account: 42", "account: "),
        ("region: eu-west-1", "region: Dublin", "region: "),
        ("tag: git-0123456", "tag: ''", "image.tag: "),
        ("CLEAN_BUCKET: acme-ads-clean", "ENV: local", "settings: Value error, ENV is what the deployment sets itself"),
        ("region: eu-west-1", "region: eu-west-1\nregoin: x", "regoin: "),
    ],
    ids=["account", "region", "tag", "setting", "unknown"],
)
def test_a_mistake_is_named_with_its_file_and_setting(tmp_path: Path, written: str, instead: str, told: str) -> None:
    file = tmp_path / "config.yaml"
    assert written in CONFIG
    file.write_text(CONFIG.replace(written, instead))
    with pytest.raises(PermanentFailure) as refused:
        read_config(file)
    assert str(refused.value).startswith(f"{file}: {told}")


def test_what_is_simulated_is_left_out_and_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("deploy/tests/sources", "adplatform/defs"))
    estate = read_estate(read_config(file))
    assert {each.name for each in estate.sources} == {"northwind", "clubcard", "treasury", "northwind_marketing"}
    assert "crm" in " ".join(estate.left_out)


def test_a_grant_of_more_than_one_thing_has_a_reason() -> None:
    with pytest.raises(ValueError, match="say why"):
        _ = allow(["s3:GetObject"], "arn:aws:s3:::raw/*").answers
    assert allow(["s3:GetObject"], "arn:aws:s3:::raw/*", why="its own").answers == {
        "IAM5[Resource::arn:aws:s3:::raw/*]": "its own"
    }


def test_the_partner_of_the_readme_can_be_deployed(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    declared = textwrap.dedent(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0])
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/defs.yaml").write_text(declared)
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("deploy/tests/sources", str(tmp_path)))
    [acme] = read_estate(read_config(file)).sources
    assert acme.model.sender.account == "222222222222"  # type: ignore[attr-defined]
    assert acme.source.prefix == "landing/acme/"
