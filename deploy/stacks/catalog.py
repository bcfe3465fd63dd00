"""The Glue Data Catalog: its encryption, the database of each source, crawlers and jobs, Spark, and tags of columns.

Tables are made by their first publication, with the schema that the contract says.
"""

from typing import Any

from constructs import Construct

from adplatform.lake.catalog import database_input
from adplatform.lake.personal_tags import tag_request
from adplatform.platform import names
from deploy import consumers
from deploy.engines import glue, spark
from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack


class CatalogStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        self._keys = keys
        if estate.config.catalog.encrypted:
            self._encryption()
        security = self._security()
        for each in estate.sources:
            self._database(each.name)
        glue.add(self, estate, keys, security)
        consumers.add_roles(self, estate, keys)
        if estate.config.catalog.spark is not None:
            spark.add(self, estate, keys, estate.config.catalog.spark, security)
        if estate.settings.personal_tag:
            self._personal_tag(estate.settings.personal_tag)

    def _encryption(self) -> None:
        """Of the account's one catalog in the region, and of all that is in it."""
        key = self._keys.catalog.key_arn
        wanted = {
            "EncryptionAtRest": {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": key},
            "ConnectionPasswordEncryption": {"ReturnConnectionPasswordEncrypted": True, "KmsKeyId": key},
        }
        properties = {"CatalogId": self.estate.account, "DataCatalogEncryptionSettings": wanted}
        self.add("Encryption", type="AWS::Glue::DataCatalogEncryptionSettings", properties=properties)

    def _security(self) -> str:
        """How jobs and crawlers encrypt what they write: chunks, logs, and bookmarks, which none of them has."""
        data, logs = self._keys.data.key_arn, self._keys.logs.key_arn
        wanted = {
            "S3Encryptions": [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": data}],
            "CloudWatchEncryption": {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": logs},
            "JobBookmarksEncryption": {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": data},
        }
        properties = {"Name": names.PLATFORM, "EncryptionConfiguration": wanted}
        return self.add("Security", type="AWS::Glue::SecurityConfiguration", properties=properties)

    def _database(self, source: str) -> None:
        """It stays: with it the tables would go."""
        wanted = database_input(self.estate.settings.database_prefix + source, source)
        properties = {"CatalogId": self.estate.account, "DatabaseInput": wanted}
        self.add("Database", source, type="AWS::Glue::Database", properties=properties, retain=True)

    def _personal_tag(self, key: str) -> None:
        """Columns get it by whoever publishes: a table is not there before, and a tag is put on what is there."""
        properties = {"CatalogId": self.estate.account, **tag_request(key)}
        self.add("PersonalTag", type="AWS::LakeFormation::Tag", properties=properties, retain=True)
