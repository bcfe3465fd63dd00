"""Amazon AppFlow, which moto does not have: flows that really move data from an application to S3.

Missing: sources other than Salesforce and custom connectors, destinations other than S3, flows that events start,
schedules by cron, arithmetic and partition tasks, catalogue tables.
"""

from adplatform.local.aws import managed


def install() -> None:
    from adplatform.local.aws.appflow.calls import AppflowResponse  # noqa: PLC0415 - moto's parts of it
    from adplatform.local.aws.appflow.faults import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.appflow.state import AppflowBackend  # noqa: PLC0415

    managed.host("appflow", AppflowBackend, AppflowResponse, {"{0}/.*$": AppflowResponse.dispatch})
    managed.CONTROL.known["appflow"] = FAULTS


def resume() -> None:
    """Goes on where the previous child ended. The endpoint's URL is known by then."""
    from adplatform.local.aws.appflow import schedule  # noqa: PLC0415

    schedule.resume()
