"""Keys of KMS, one for each concern, and the services that may use them.

They have a stack of their own, because what is encrypted and who reads it are in several: none of these needs another.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from adplatform.platform import names
from deploy.engines import key_users
from deploy.estate import Estate


class KeysStack(cdk.Stack):
    """Policies of identities may give access to them, as the account's root stands in each key's policy."""

    def __init__(self, scope: Construct, name: str, estate: Estate, **settings: object) -> None:
        super().__init__(scope, name, termination_protection=True, **settings)
        self._estate = estate
        self.data = self._key("data", "Objects of both zones.")
        self.quarantine = self._key("quarantine", "Rows that broke a contract, in clear.")
        self.ledger = self._key("ledger", "The ledger's table.")
        self.secrets = self._key("secrets", "Hashing keys, and secrets of sources.")
        self.messages = self._key("messages", "Queues and topics.")
        self.catalog = self._key("catalog", "Metadata of the Glue Data Catalog.")
        self.logs = self._key("logs", "Log groups and trails.")
        self.dagster = self._key("dagster", "Dagster's database and its password.")
        self._used_by(self.messages, "events", "rule/*")
        self._used_by(self.messages, "cloudwatch", "alarm:*")
        self._logged(self.logs)
        self._stated(self.data, key_users.of_data(estate))
        self._stated(self.secrets, key_users.of_secrets(estate))
        self._trailed(self.logs)
        self._archived(self.messages)

    def _key(self, concern: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            concern.capitalize(),
            alias=f"{names.PLATFORM}/{concern}",
            description=description,
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )

    def _used_by(self, key: kms.Key, service: str, sources: str) -> None:
        """A service of AWS encrypts with the key, for such resources of this account."""
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={
                    "StringEquals": {"aws:SourceAccount": self._estate.account},
                    "ArnLike": {"aws:SourceArn": self._estate.arn(service, sources)},
                },
            )
        )

    def _stated(self, key: kms.Key, statements: Iterable[Mapping[str, Any]]) -> None:
        for statement in statements:
            key.add_to_resource_policy(iam.PolicyStatement.from_json(statement))

    def _logged(self, key: kms.Key) -> None:
        """CloudWatch Logs encrypts the account's log groups with the key (its user guide, "Encrypt log data")."""
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self._estate.region}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],
                conditions={
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": self._estate.arn("logs", "log-group:*")},
                },
            )
        )

    def _trailed(self, key: kms.Key) -> None:
        """CloudTrail encrypts the platform's trail with the key (its user guide, "Configure AWS KMS key policies for
        CloudTrail"). Who reads the trail decrypts by a policy of their own."""
        trail = self._estate.arn("cloudtrail", f"trail/{names.TRAIL}")
        cloudtrail = iam.ServicePrincipal("cloudtrail.amazonaws.com")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudtrail],
                actions=["kms:GenerateDataKey*"],
                resources=["*"],
                conditions={
                    "StringEquals": {"aws:SourceArn": trail, "kms:EncryptionContext:aws:cloudtrail:arn": trail},
                },
            )
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudtrail],
                actions=["kms:DescribeKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceArn": trail}},
            )
        )

    def _archived(self, key: kms.Key) -> None:
        """EventBridge keeps and replays events of the default bus under the key (its user guide, "Encrypting
        EventBridge archives with AWS KMS keys")."""
        events = iam.ServicePrincipal("events.amazonaws.com")
        bus = self._estate.arn("events", "event-bus/default")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[events],
                actions=["kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncrypt*"],
                resources=["*"],
                conditions={"StringEquals": {"kms:EncryptionContext:aws:events:event-bus:arn": bus}},
            )
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[events],
                actions=["kms:DescribeKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": self._estate.account}},
            )
        )
