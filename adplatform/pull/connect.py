"""How the API of an account is opened by whoever composes the platform."""

from collections.abc import Callable
from datetime import timedelta

from adplatform.amazon.reports import ReportApi
from adplatform.flow.services import Services
from adplatform.pull.account import Account

Connect = Callable[[Services, Account, timedelta], ReportApi]
"""Opens the API for calls that may each go on for so long."""
