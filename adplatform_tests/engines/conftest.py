"""Fixtures of the engines' tests."""

from adplatform_tests.support.sftp_host import sftp_host  # noqa: F401 - a fixture
