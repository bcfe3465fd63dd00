"""Reports whose runs are denied something, stopped, or die: only what Amazon did wrong is an attempt."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from adplatform.failures import ClaimLost, EnvironmentFailure, TransientFailure
from adplatform.flow.settling import Ending
from adplatform.ledger.report import Report, ReportState
from adplatform.platform.aws_errors import aws_failures
from adplatform.pull.due import ReportDue, deliveries_due, reports_due
from adplatform.pull.land import MAX_DOWNLOADS, claim, failed, land, release
from adplatform_tests.pull.test_report_life import Pull, pull
from adplatform_tests.support.platforms import Inbox
from adplatform_tests.support.runs import Nobody

__all__ = ["pull"]
DENIED = b"<Error><Code>AccessDenied</Code><Message>no kms:GenerateDataKey</Message></Error>"


class Raw(BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def deny(request: Any, **_: Any) -> AWSResponse:
    return AWSResponse(request.url, 403, {"Content-Type": "application/xml"}, Raw(DENIED))


def ready(pull: Pull) -> Report:
    pull.orders()
    pull.later(minutes=20)
    pull.poll()
    (report,) = pull.ready()
    return report


def tried(pull: Pull, report: Report, number: int) -> None:
    """A run of the report, as its step does it."""
    claimed = claim(pull.services.ledger, report, f"run-{number}")
    work = pull.work / str(number)
    work.mkdir()
    with pytest.raises(EnvironmentFailure) as e, aws_failures(report.feed):
        land(pull.services, pull.account, lambda: pull.api, claimed, work, sleep=lambda _: None)
    assert failed(pull.services, pull.account, claimed, e.value) is not None


def test_a_passing_denial_gives_no_report_up_is_reported_once_and_tried_ever_less_often(pull: Pull) -> None:
    inbox = Inbox.subscribe(pull.services)
    report = ready(pull)
    events = pull.services.s3.meta.events
    events.register("before-send.s3.PutObject", deny)
    keys, pauses = [], []
    for number in range(3 * MAX_DOWNLOADS):
        keys.append(ReportDue(report).run_key)
        tried(pull, report, number)
        (resting,) = pull.reports()
        assert (resting.state, resting.attempt) == (ReportState.READY, 0)
        assert resting.not_before is not None
        pauses.append(resting.not_before - pull.services.ledger.now())
        pull.at[0] = resting.not_before
        (report,) = pull.ready()
    assert len(set(keys)) == len(keys), "a run key launches one run, ever"
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=2)
    events.unregister("before-send.s3.PutObject", deny)
    pull.run(report)
    assert [r.state for r in pull.reports()] == [ReportState.DONE]
    assert len(pull.table()) == 5
    assert pull.services.ledger.messages.troubles("ads") == {}
    assert [m["event"] for m in inbox.read() if m["event"] != "delivery_published"] == ["reports_hindered"]


class Ended(Nobody):
    how = Ending.DIED

    def ending(self, run: str) -> Ending:
        return self.how

    def spent(self, run_key: str) -> bool:
        return self.how is not Ending.DIED


def test_a_run_that_is_stopped_is_no_attempt_whether_it_let_go_or_not(pull: Pull) -> None:
    report = ready(pull)
    stopped = Ended()
    stopped.how = Ending.STOPPED
    keys = []
    for number in range(12):
        keys.append(ReportDue(report).run_key)
        claimed = claim(pull.services.ledger, report, f"run-{number}")
        if number % 2:
            assert release(pull.services.ledger, claimed) is not None
            (report,) = pull.ready()
        else:
            (due,) = reports_due(pull.services, pull.account, stopped)
            report = due.report
        assert (report.run_id, report.attempt) == ("", 0)
    assert len(set(keys)) == 12
    pull.run(report)
    assert deliveries_due(pull.services, pull.account, Nobody()) == ([], [])
    assert [r.state for r in pull.reports()] == [ReportState.DONE]


def test_a_report_that_another_run_has_is_lost_not_failed(pull: Pull) -> None:
    report = ready(pull)
    claimed = claim(pull.services.ledger, report, "one")
    with pytest.raises(ClaimLost):
        claim(pull.services.ledger, report, "two")
    with pytest.raises(ClaimLost):
        land(pull.services, pull.account, lambda: pull.api, report, pull.work, sleep=lambda _: None)
    assert failed(pull.services, pull.account, report, ClaimLost("lost")) is None
    assert pull.reports() == [claimed]


def test_a_report_that_fails_for_itself_does_not_keep_a_later_hindrance_silent(pull: Pull) -> None:
    report = ready(pull)
    claimed = claim(pull.services.ledger, report, "one")
    failed(pull.services, pull.account, claimed, EnvironmentFailure("no key"))
    (resting,) = pull.reports()
    claimed = claim(pull.services.ledger, resting, "two")
    assert failed(pull.services, pull.account, claimed, TransientFailure("no answer")) is not None
    assert pull.services.ledger.messages.troubles("ads") == {}
