from pathlib import Path

import pytest

from adplatform.failures import PermanentFailure
from adplatform.platform.settings import read_settings


def test_without_variables_everything_is_local() -> None:
    settings = read_settings({})
    assert (settings.env, settings.home, settings.automation) == ("local", Path(".adplatform").absolute(), True)
    assert settings.data == settings.home / "aws"


def test_variables_override_the_defaults() -> None:
    settings = read_settings(
        {
            "ADPLATFORM_ENV": "aws",
            "ADPLATFORM_RAW_BUCKET": "acme-raw",
            "ADPLATFORM_THREADS": "8",
            "ADPLATFORM_AUTOMATION": "off",
            "ADPLATFORM_SUBSCRIBERS": "success=a@example.com, ,failure=https://hooks.example.com",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
    )
    assert (settings.env, settings.raw_bucket, settings.threads, settings.automation) == ("aws", "acme-raw", 8, False)
    assert settings.subscribers == ("success=a@example.com", "failure=https://hooks.example.com")
    assert settings.region == "eu-west-1"


def test_an_empty_variable_is_no_value() -> None:
    assert read_settings({"ADPLATFORM_RAW_BUCKET": "", "ADPLATFORM_THREADS": ""}) == read_settings({})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ENV", "prod", "ADPLATFORM_ENV is 'prod': use local or aws"),
        ("THREADS", "0", "ADPLATFORM_THREADS is '0': use a whole number from 1"),
        ("THREADS", "two", "ADPLATFORM_THREADS is 'two': use a whole number from 1"),
        (
            "LINEAGE_DOMAIN",
            "acme",
            "ADPLATFORM_LINEAGE_DOMAIN is 'acme': use the id of a domain of SageMaker Catalog, such as dzd-1a2b3c",
        ),
        ("KEEP_DAYS", "-1", "ADPLATFORM_KEEP_DAYS is '-1': use a whole number from 1"),
        ("KEEP_DAYS", "²", "ADPLATFORM_KEEP_DAYS is '²': use a whole number from 1"),
    ],
)
def test_a_value_that_is_not_usable_is_refused_by_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(PermanentFailure) as refused:
        read_settings({f"ADPLATFORM_{name}": value})
    assert str(refused.value) == sentence
