"""Calls about endpoints and tags. What an endpoint is, moto knows; it lacks changes, pages and refusals."""

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.dms.api import DmsAnswers
from adplatform.local.aws.dms.errors import InvalidResourceStateFault, ResourceAlreadyExistsFault

_CHANGEABLE = {
    "EngineName": "engine_name",
    "Username": "username",
    "Password": "password",
    "ServerName": "server_name",
    "Port": "port",
    "DatabaseName": "database_name",
    "ExtraConnectionAttributes": "extra_connection_attributes",
    "S3Settings": "s3_settings",
    "PostgreSQLSettings": "postgre_sql_settings",
}


class EndpointCalls(DmsAnswers):
    def create_endpoint(self) -> Any:
        name = self.params["EndpointIdentifier"]
        if name in self.backend.endpoints:
            raise ResourceAlreadyExistsFault(f"Endpoint {name} already exists.")
        super().create_endpoint()
        made = self.backend.endpoints[name]
        made.status = "active"
        return ActionResult({"Endpoint": _shown(made)})

    def describe_endpoints(self) -> Any:
        found = self.filtered(
            self.backend.endpoints.values(),
            {
                "endpoint-arn": lambda each: [each.endpoint_arn],
                "endpoint-type": lambda each: [each.endpoint_type],
                "endpoint-id": lambda each: [each.endpoint_identifier],
                "engine-name": lambda each: [each.engine_name],
            },
        )
        return self.page("Endpoints", map(_shown, found))

    def modify_endpoint(self) -> ActionResult:
        """Settings are changed member by member, or with ``ExactSettings`` as a whole. A task reads them at its next
        start."""
        endpoint = self.backend.endpoint(self.params["EndpointArn"])
        unknown = self.params.keys() - {"EndpointArn", "ExactSettings", *_CHANGEABLE}
        if unknown:
            raise NotImplementedError(f"changes of {', '.join(sorted(unknown))}")
        for name, value in self.params.items():
            if name in _CHANGEABLE:
                merged = isinstance(value, dict) and not self.params.get("ExactSettings")
                before = (getattr(endpoint, _CHANGEABLE[name]) or {}) if merged else {}
                setattr(endpoint, _CHANGEABLE[name], {**before, **value} if merged else value)
        return ActionResult({"Endpoint": _shown(endpoint)})

    def delete_endpoint(self) -> Any:
        arn = self.params["EndpointArn"]
        endpoint = self.backend.endpoint(arn)
        for each in self.backend.replications.values():
            if arn in (each.asked["SourceEndpointArn"], each.asked["TargetEndpointArn"]):
                raise InvalidResourceStateFault(f"Endpoint {arn} is part of {each.arn}.")
        super().delete_endpoint()
        return ActionResult({"Endpoint": _shown(endpoint)})

    def add_tags_to_resource(self) -> ActionResult:
        self.backend.tagger.tag_resource(self.params["ResourceArn"], self.params["Tags"])
        return EmptyResult()

    def remove_tags_from_resource(self) -> ActionResult:
        self.backend.tagger.untag_resource_using_names(self.params["ResourceArn"], self.params["TagKeys"])
        return EmptyResult()


def _shown(endpoint: Any) -> dict[str, Any]:
    """Without passwords."""
    found = {name: value for name, value in endpoint.to_dict().items() if value is not None}
    if "PostgreSQLSettings" in found:
        settings = found["PostgreSQLSettings"]
        found["PostgreSQLSettings"] = {name: value for name, value in settings.items() if name != "Password"}
    return found
