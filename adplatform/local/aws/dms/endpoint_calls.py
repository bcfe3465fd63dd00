"""Calls about endpoints, certificates and tags. What an endpoint is, moto knows; it lacks changes, pages and refusals,
and certificates."""

import secrets
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws.dms.api import DmsAnswers
from adplatform.local.aws.dms.errors import (
    InvalidParameterValueException,
    InvalidResourceStateFault,
    ResourceAlreadyExistsFault,
    ResourceNotFoundFault,
)
from adplatform.local.aws.dms.state import Certificate
from adplatform.local.aws.managed import CONTROL

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
_PEM = "-----BEGIN CERTIFICATE-----"


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

    def import_certificate(self) -> ActionResult:
        name, pem = self.params["CertificateIdentifier"], self.params.get("CertificatePem", "")
        if _PEM not in pem:
            raise InvalidParameterValueException("CertificatePem holds no certificate.")
        if any(each.name == name for each in self.backend.certificates.values()):
            raise ResourceAlreadyExistsFault(f"Certificate {name} already exists.")
        arn = f"arn:aws:dms:{self.region}:{self.current_account}:cert:{secrets.token_hex(13).upper()}"
        made = Certificate(arn, name, pem, CONTROL.now())
        self.backend.certificates[arn] = made
        self.backend.tagger.tag_resource(arn, self.params.get("Tags", []))
        return ActionResult({"Certificate": _of_certificate(made)})

    def describe_certificates(self) -> ActionResult:
        known = {
            "certificate-arn": lambda each: [each.arn],
            "certificate-id": lambda each: [each.name],
        }
        return self.page("Certificates", map(_of_certificate, self.filtered(self.backend.certificates.values(), known)))

    def delete_certificate(self) -> ActionResult:
        made = self.backend.certificates.pop(self.params["CertificateArn"], None)
        if made is None:
            raise ResourceNotFoundFault(f"Certificate {self.params['CertificateArn']} could not be found.")
        return ActionResult({"Certificate": _of_certificate(made)})

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


def _of_certificate(made: Certificate) -> dict[str, Any]:
    return {
        "CertificateArn": made.arn,
        "CertificateIdentifier": made.name,
        "CertificatePem": made.pem,
        "CertificateCreationDate": made.created,
    }
