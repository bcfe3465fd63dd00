"""Lake Formation's tags of columns: what kind of personal data each holds, so that grants can say who reads it.

Tables and databases get none: a column that has no tag yet inherits none, and no grant by tag reaches it. A view has
none either; who reads one has to be let into the tables behind it.

Facts: Lake Formation developer guide, "Assigning LF-Tags to Data Catalog resources"; API reference,
AddLFTagsToResource.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.pii import PiiKind
from adplatform.failures import PermanentFailure

NOT_PERSONAL = "none"
"""The value of columns that hold nothing personal."""


@dataclass(frozen=True)
class PersonalTags:
    """The tag ``key``; ``client`` is a boto3 client of Lake Formation."""

    client: Any
    key: str

    def put(self, table: Mapping[str, Any]) -> None:
        """Give each column of a table, as Glue describes it, the value that its parameters say.

        Raises:
            PermanentFailure: Lake Formation does not know the tag, or refuses it.
        """
        named = {"DatabaseName": table["DatabaseName"], "Name": table["Name"]}
        columns = [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", ())]
        wanted = {c["Name"]: (c.get("Parameters") or {}).get("pii", NOT_PERSONAL) for c in columns}
        there = self._there(named, list(wanted))
        by_value: dict[str, list[str]] = {}
        for column, value in wanted.items():
            if there.get(column) != value:
                by_value.setdefault(value, []).append(column)
        for value, names in by_value.items():
            self._add(named, value, names)

    def _there(self, named: Mapping[str, str], columns: list[str]) -> dict[str, str]:
        answer = self.client.get_resource_lf_tags(
            Resource={"TableWithColumns": {**named, "ColumnNames": columns}}, ShowAssignedLFTags=True
        )
        return {
            column["Name"]: tag["TagValues"][0]
            for column in answer.get("LFTagsOnColumns") or ()
            for tag in column["LFTags"]
            if tag["TagKey"] == self.key
        }

    def _add(self, named: Mapping[str, str], value: str, columns: list[str]) -> None:
        answer = self.client.add_lf_tags_to_resource(
            Resource={"TableWithColumns": {**named, "ColumnNames": columns}},
            LFTags=[{"TagKey": self.key, "TagValues": [value]}],
        )
        for failed in answer.get("Failures") or ():
            said = (failed.get("Error") or {}).get("ErrorMessage", "no reason is given")
            raise PermanentFailure(
                f"Lake Formation does not tag {named['DatabaseName']}.{named['Name']} with {self.key}={value}: {said} "
                "`adplatform provision` makes the tag of ADPLATFORM_PERSONAL_TAG"
            )


def tag_request(key: str) -> dict[str, Any]:
    """What CreateLFTag is asked for."""
    return {"TagKey": key, "TagValues": [NOT_PERSONAL, *sorted(PiiKind)]}


def provide(client: Any, key: str) -> None:
    """Make the tag, or add the values that it lacks."""
    wanted = tag_request(key)
    pages = client.get_paginator("list_lf_tags").paginate()
    known = {tag["TagKey"]: tag["TagValues"] for page in pages for tag in page["LFTags"]}
    if (there := known.get(key)) is None:
        client.create_lf_tag(**wanted)
        return
    if lacking := [value for value in wanted["TagValues"] if value not in there]:
        client.update_lf_tag(TagKey=key, TagValuesToAdd=lacking)
