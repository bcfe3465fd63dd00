"""The feed that the results of matching jobs of AWS Entity Resolution become.

Facts: Entity Resolution User Guide, "Output of a matching workflow": csv with ``InputSourceARN``, ``ConfidenceLevel``,
the columns that are put out, ``MatchRule`` and ``MatchID``.
"""

from adplatform.contracts.feed import Feed


def results_feed(feed: Feed) -> Feed | None:
    """The feed of what is matched of ``feed``; None where nothing is to come of it."""
    settings = feed.consumers.entity_resolution
    if settings is None or settings.results is None:
        return None
    return Feed.model_validate(
        {
            "name": settings.results,
            "description": f"Which rows of {feed.name} are of one entity, as AWS Entity Resolution found.",
            "start_date": feed.start_date,
            "arrival": {"complete_when": "manifest"},
            "columns": {
                settings.unique_id: {"required": True, "comment": f"The row of {feed.name}."},
                "match_id": {"field": "MatchID", "required": True, "comment": "The same for rows of one entity."},
                "match_rule": {"field": "MatchRule", "comment": "The rule that they meet, where there are several."},
                "input_source": {"field": "InputSourceARN", "drop": True},
                "confidence": {"field": "ConfidenceLevel", "optional": True, "drop": True},
            },
            "key": settings.unique_id,
            "partition_by": None,
            "schema_policy": "evolve",
        }
    )
