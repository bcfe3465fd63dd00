"""What each service is to have, by the name of the consumer."""

from collections.abc import Mapping

from adplatform.consumers.registration import athena, clean_rooms, entity_resolution, quicksight, redshift, sagemaker
from adplatform.consumers.registration.resource import Kind, Registration, Wanted
from adplatform.contracts.consumers import ConsumerName
from adplatform.platform.settings import Settings

REGISTRATIONS: Mapping[ConsumerName, Registration] = {
    "clean_rooms": clean_rooms.REGISTRATION,
    "entity_resolution": entity_resolution.REGISTRATION,
    "athena": athena.REGISTRATION,
    "quicksight": quicksight.REGISTRATION,
    "redshift": redshift.REGISTRATION,
    "sagemaker": sagemaker.REGISTRATION,
}


def kind_of(wanted: Wanted) -> Kind:
    return REGISTRATIONS[wanted.consumer].kinds[wanted.kind]


def is_deployed(wanted: Wanted, settings: Settings) -> bool:
    """Whether the deployment makes it, and not the platform."""
    return settings.consumers == "deployment" and kind_of(wanted).deployable
