"""The platform as `make dev` runs it, hurt at random: every row of every newest file is visible once in the end."""

from pathlib import Path

import pytest

from adplatform_tests.support.hurt_platform import STOP_WITHIN, hurt

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("seed", "kills"), [(1, 8), (2, 12)])
def test_what_partners_delivered_is_there_once_whatever_was_killed(tmp_path: Path, seed: int, kills: int) -> None:
    seen = hurt(tmp_path, seed, kills)
    assert seen.kills.total() == kills
    assert seen.leftovers == []
    assert seen.stop_seconds <= STOP_WITHIN
