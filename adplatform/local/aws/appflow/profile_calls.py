"""The calls about connector profiles and what they connect to."""

from collections.abc import Callable
from typing import Any, TypeVar

from moto.core.responses import ActionResult, EmptyResult

from adplatform.local.aws import managed
from adplatform.local.aws.appflow.api import Api, paged
from adplatform.local.aws.appflow.errors import (
    ConflictException,
    ConnectorAuthenticationException,
    ConnectorServerException,
    ResourceNotFoundException,
    ValidationException,
)
from adplatform.local.aws.appflow.source import Failed, Session, Unauthorized
from adplatform.local.aws.appflow.state import Profile
from adplatform.local.aws.appflow.transfer import session
from adplatform.local.aws.state import released

T = TypeVar("T")


class ProfileCalls(Api):
    def create_connector_profile(self) -> ActionResult:
        asked = self._asked
        name, now = asked["connectorProfileName"], managed.CONTROL.now()
        kept = self._backend.answered(f"CreateConnectorProfile {name}", asked.get("clientToken"), now)
        if kept is not None:
            return ActionResult(kept)
        profile = Profile(name, self._backend.arn("connectorprofile", name), asked, now, now)
        self._connect(profile)
        if name in self._backend.profiles:
            raise ConflictException(f"Connector profile {name} already exists.")
        self._backend.profiles[name] = profile
        answer = {"connectorProfileArn": profile.arn}
        return self._kept(f"CreateConnectorProfile {name}", asked, answer)

    def update_connector_profile(self) -> ActionResult:
        asked = self._asked
        profile = self._profile(asked["connectorProfileName"])
        self._connect(Profile(profile.name, profile.arn, {**profile.asked, **asked}, profile.created, profile.updated))
        profile.asked, profile.token = {**profile.asked, **asked}, ""
        profile.updated = managed.CONTROL.now()
        return ActionResult({"connectorProfileArn": profile.arn})

    def describe_connector_profiles(self) -> ActionResult:
        asked = self._asked
        names, kind = asked.get("connectorProfileNames"), asked.get("connectorType")
        found = [p for p in self._backend.profiles.values() if not names or p.name in names]
        found = sorted((p for p in found if kind in (None, p.connector)), key=lambda profile: profile.name)
        page, token = paged(found, asked, lambda profile: profile.name)
        details = [
            {
                "connectorProfileArn": profile.arn,
                "connectorProfileName": profile.name,
                "connectorType": profile.connector,
                "connectorLabel": profile.asked.get("connectorLabel"),
                "connectionMode": profile.asked["connectionMode"],
                "credentialsArn": f"arn:aws:secretsmanager:{self.region}:{self.current_account}:secret:"
                f"appflow!{self.current_account}-{profile.name}",
                "connectorProfileProperties": profile.asked["connectorProfileConfig"]["connectorProfileProperties"],
                "createdAt": profile.created,
                "lastUpdatedAt": profile.updated,
            }
            for profile in page
        ]
        return ActionResult({"connectorProfileDetails": details, "nextToken": token})

    def delete_connector_profile(self) -> ActionResult:
        asked = self._asked
        profile = self._profile(asked["connectorProfileName"])
        users = [f.name for f in self._backend.flows.values() if f.source.get("connectorProfileName") == profile.name]
        if users and not asked.get("forceDelete"):
            raise ConflictException(f"Connector profile {profile.name} is used by {', '.join(users)}.")
        del self._backend.profiles[profile.name]
        return EmptyResult()

    def list_connector_entities(self) -> ActionResult:
        names = self._ask(self._asked, lambda session: session.objects())
        entities = [{"name": name, "label": name, "hasNestedEntities": False} for name in names]
        return ActionResult({"connectorEntityMap": {"Objects": entities}})

    def describe_connector_entity(self) -> ActionResult:
        asked = self._asked
        types = self._ask(asked, lambda session: session.fields(asked["connectorEntityName"]))
        fields = [
            {
                "identifier": name,
                "label": name,
                "isPrimaryKey": kind == "id",
                "supportedFieldTypeDetails": {"v1": {"fieldType": kind, "filterOperators": ["PROJECTION"]}},
                "sourceProperties": {
                    "isRetrievable": True,
                    "isQueryable": True,
                    "isTimestampFieldForIncrementalQueries": kind == "datetime",
                },
            }
            for name, kind in types.items()
        ]
        return ActionResult({"connectorEntityFields": fields})

    def _profile(self, name: str) -> Profile:
        profile = self._backend.profiles.get(name)
        if profile is None:
            raise ResourceNotFoundException(f"Connector profile {name} does not exist.")
        return profile

    def _ask(self, asked: dict[str, Any], question: Callable[[Session], T]) -> T:
        profile = self._profile(asked.get("connectorProfileName", ""))
        try:
            asking = session(self._backend, profile)
            with released():
                return question(asking)
        except Unauthorized as e:
            raise ConnectorAuthenticationException(str(e)) from e
        except Failed as e:
            raise ConnectorServerException(str(e)) from e

    def _connect(self, profile: Profile) -> None:
        """Tries the credentials, as AppFlow does.

        Raises:
            ConnectorAuthenticationException: the application refuses them.
            ValidationException: it cannot be asked.
        """
        try:
            asking = session(self._backend, profile)
            with released():
                asking.objects()
        except Unauthorized as e:
            raise ConnectorAuthenticationException(str(e)) from e
        except Failed as e:
            raise ValidationException(str(e)) from e
