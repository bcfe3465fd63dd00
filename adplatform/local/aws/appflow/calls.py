"""The API of AppFlow as moto dispatches it."""

from adplatform.local.aws.appflow.flow_calls import FlowCalls
from adplatform.local.aws.appflow.profile_calls import ProfileCalls
from adplatform.local.aws.appflow.run_calls import RunCalls


class AppflowResponse(FlowCalls, RunCalls, ProfileCalls):
    """Every call."""
