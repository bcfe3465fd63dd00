"""AWS Entity Resolution, which moto does not have: schema mappings, and matching workflows whose jobs match by their
rules what a table of the catalog has.

Missing: machine learning, providers, conditions with operators, id mapping and namespaces, normalisation, incremental
runs, single records, tables in csv.
Not documented by AWS, and decided here: a second job of a workflow is refused while one is going on; every record that
is processed has a MatchID, those that match none have no MatchRule; rules are transitive, and the MatchRule of a record
is the first by which it matches another; records without an id, with one of more than 38 characters or with one that
others have, too, are not processed; results are below ``<path>/<workflow>/<job>/``.
"""

from adplatform.local.aws import managed

SERVICE = "entityresolution"


def install() -> None:
    from adplatform.local.aws.entity_resolution.calls import EntityResolutionResponse  # noqa: PLC0415 - moto's parts
    from adplatform.local.aws.entity_resolution.faults import FAULTS  # noqa: PLC0415
    from adplatform.local.aws.entity_resolution.state import EntityResolutionBackend  # noqa: PLC0415

    paths = {"{0}/.*$": EntityResolutionResponse.dispatch}
    managed.host(SERVICE, EntityResolutionBackend, EntityResolutionResponse, paths)
    managed.CONTROL.known[SERVICE] = FAULTS


def after_load() -> None:
    """Fails the jobs that the end of the previous child interrupted."""
    from moto.backends import get_backend  # noqa: PLC0415

    for _, _, backend in get_backend(SERVICE).iter_backends():
        for workflow in backend.workflows.values():
            for job in workflow.jobs.values():
                if not job.has_ended:
                    job.end("FAILED", "An internal error occurred: the embedded AWS ended during the job.")
