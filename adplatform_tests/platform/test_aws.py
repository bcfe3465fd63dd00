import pytest

from adplatform.failures import PermanentFailure
from adplatform.platform.aws import local_aws


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"])
def test_a_local_endpoint_is_on_this_machine(host: str) -> None:
    assert local_aws(f"http://{host}").endpoint_url == f"http://{host}"


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "http://10.0.0.1:5000",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "http://999.1.1.1",
        "http://0.0.0.0:5000",
        "localhost:5000",
        "",
    ],
)
def test_an_endpoint_elsewhere_is_refused_in_local_mode(url: str) -> None:
    with pytest.raises(PermanentFailure, match="is not a loopback address"):
        local_aws(url)
