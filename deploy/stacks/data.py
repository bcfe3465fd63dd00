"""What keeps data: buckets, the ledger, the hashing key, topics, and of each source its queue and its partner's role.

What has data stays when the stack goes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from constructs import Construct

from adplatform.amazon.ads.stream import queue_policy as stream_policy
from adplatform.contracts.source import Sender
from adplatform.flow.provision import MESSAGE_SECONDS, PLATFORM_RULES, bucket_policy, queue_policy
from adplatform.flow.retention import retention_rules
from adplatform.flow.source import Source
from adplatform.ledger.table import table_definition
from adplatform.platform import names
from adplatform.pull.stream.tables import StreamTables
from deploy.engines import appflow
from deploy.estate import DeployedSource, Estate
from deploy.properties import closed_bucket, lifecycle_rule, tls_only, with_tls
from deploy.resources import ResourceStack
from deploy.roles import add_role, partner_statements
from deploy.stacks.keys import KeysStack

_LOG_DAYS = 400
_MOST_RECEIVED = 500
"""How often an event may be taken and not dealt with: some hours, while the ledger cannot be reached."""


class DataStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, termination_protection=True, **settings)
        self._keys = keys
        self._buckets()
        self._ledger()
        self._hash_key()
        for topic in estate.topics:
            self._topic(topic)
        for each in estate.sources:
            self._source(each)

    def _buckets(self) -> None:
        estate, settings = self.estate, self.estate.settings
        access = estate.access_logs
        logs = self._access_logs(access)
        rules = [*PLATFORM_RULES, *retention_rules(each.source for each in estate.sources)]
        raw = {
            "VersioningConfiguration": {"Status": "Enabled"},
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            "LifecycleConfiguration": {"Rules": [lifecycle_rule(rule) for rule in rules]},
        }
        for name, bucket, more in (("Raw", settings.raw_bucket, raw), ("Clean", settings.clean_bucket, {})):
            logging = {"DestinationBucketName": access, "LogFilePrefix": f"{name.lower()}/"}
            wanted = closed_bucket(bucket, self._keys.data.key_arn, LoggingConfiguration=logging, **more)
            made = self.add(name, type="AWS::S3::Bucket", properties=wanted, retain=True, after=[logs])
            policy, engines = bucket_policy(bucket), appflow.bucket_statements(estate) if name == "Raw" else []
            self._policy(f"{name}Policy", bucket, {**policy, "Statement": [*policy["Statement"], *engines]}, made)

    def _access_logs(self, bucket: str) -> str:
        """S3 takes keys of its own alone for it (S3 User Guide, "Enabling server access logging")."""
        estate = self.estate
        rules = {"Rules": [{"Id": "logs", "Status": "Enabled", "ExpirationInDays": _LOG_DAYS}]}
        wanted = closed_bucket(bucket, None, LifecycleConfiguration=rules)
        answers = {"S1": "It is where access logs go."}
        made = self.add("AccessLogs", type="AWS::S3::Bucket", properties=wanted, retain=True, answers=answers)
        settings = estate.settings
        logged = [estate.bucket(b) for b in (settings.raw_bucket, settings.clean_bucket, estate.compute_logs)]
        logging = {
            "Sid": "AccessLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": estate.bucket(bucket, "*"),
            "Condition": {
                "ArnLike": {"aws:SourceArn": logged},
                "StringEquals": {"aws:SourceAccount": estate.account},
            },
        }
        balancer = {
            "Sid": "LoadBalancer",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": estate.bucket(bucket, f"ui/AWSLogs/{estate.account}/*"),
        }
        policy = bucket_policy(bucket, encrypted=False)
        statements = [*policy["Statement"], logging, balancer]
        self._policy("AccessLogsPolicy", bucket, {**policy, "Statement": statements}, made)
        return made

    def _policy(self, name: str, bucket: str, policy: Mapping[str, Any], made: str) -> None:
        wanted = {"Bucket": bucket, "PolicyDocument": policy}
        self.add(name, type="AWS::S3::BucketPolicy", properties=wanted, after=[made])

    def _ledger(self) -> None:
        encrypted = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": self._keys.ledger.key_arn}
        wanted = {
            **table_definition(self.estate.settings.ledger_table),
            "SSESpecification": encrypted,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "DeletionProtectionEnabled": True,
        }
        self.add("Ledger", type="AWS::DynamoDB::Table", properties=wanted, retain=True)

    def _hash_key(self) -> None:
        """64 letters and digits are base64 of 48 bytes, of which nobody can guess 380 bits."""
        generated = {
            "SecretStringTemplate": "{}",
            "GenerateStringKey": "key",
            "PasswordLength": 64,
            "ExcludePunctuation": True,
        }
        wanted = {
            "Name": self.estate.settings.hash_key_secret,
            "Description": "The key with which personal values are hashed; `adplatform keys rotate` makes the next.",
            "KmsKeyId": self._keys.secrets.key_arn,
            "GenerateSecretString": generated,
        }
        answers = {"SMG4": "`adplatform keys rotate` rotates it: tables have to be hashed anew with it."}
        self.add("HashKey", type="AWS::SecretsManager::Secret", properties=wanted, retain=True, answers=answers)

    def _topic(self, topic: str) -> None:
        arn, account, config = self.estate.topic(topic), self.estate.account, self.estate.config
        wanted = {"TopicName": topic, "KmsMasterKeyId": self._keys.messages.key_arn}
        made = self.add("Topic", topic, type="AWS::SNS::Topic", properties=wanted)
        owner = {
            "Sid": "Owner",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes", "sns:SetTopicAttributes"],
            "Resource": arn,
        }
        alarms = {
            "Sid": "Alarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
        policy = {"Version": "2012-10-17", "Statement": [owner, alarms, tls_only("sns:Publish", arn)]}
        document = {"Topics": [arn], "PolicyDocument": policy}
        self.add("TopicPolicy", topic, type="AWS::SNS::TopicPolicy", properties=document, after=[made])
        if config.alarms.email and topic == self.estate.settings.failure_topic:
            people = {"TopicArn": arn, "Protocol": "email", "Endpoint": config.alarms.email}
            self.add("People", topic, type="AWS::SNS::Subscription", properties=people, after=[made])

    def _source(self, each: DeployedSource) -> None:
        for source, events in each.queues:
            self._queue(source, events)
        if each.stream and not each.stream.declared.queue:
            self._stream_queue(each, each.stream)
        sender = getattr(each.model, "sender", None)
        if isinstance(sender, Sender):
            self._partner(each.name, sender)

    def _queue(self, source: Source, pattern: Mapping[str, Any]) -> None:
        """What happens goes to the source's queue; what cannot be delivered there, or is received too often, waits in
        another one for people."""
        name, arn = self.estate.settings.queue_name(source.name), self.estate.queue(source)
        dead, dead_arn = name + names.DEAD_LETTERS, arn + names.DEAD_LETTERS
        redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": _MOST_RECEIVED}
        answers = {"SQS3": "It is the one for dead letters."}
        waiting = self._own_queue(source, "DeadLetters", dead, dead_arn, answers=answers)
        made = self._own_queue(source, "Queue", name, arn, after=[waiting], RedrivePolicy=redrive)
        target = {"Id": "arrivals", "Arn": arn, "DeadLetterConfig": {"Arn": dead_arn}}
        rule = {"Name": name, "EventPattern": pattern, "State": "ENABLED", "Targets": [target]}
        self.add(source.name, "Rule", type="AWS::Events::Rule", properties=rule, after=[made])

    def _stream_queue(self, each: DeployedSource, stream: StreamTables) -> None:
        """The queue of Marketing Stream, to which topics of Amazon's send, that can use no key of ours."""
        name, arn = self.estate.settings.queue_name(each.name), self.estate.queue(each.source)
        wanted = {"QueueName": name, "MessageRetentionPeriod": MESSAGE_SECONDS, "SqsManagedSseEnabled": True}
        answers = {"SQS3": "What is no message of the stream is put aside in the raw zone."}
        made = self.add(each.name, "Queue", type="AWS::SQS::Queue", properties=wanted, answers=answers)
        policy = stream_policy(arn, stream.declared.datasets, stream.account.region)
        document = {"Queues": [{"Ref": made}], "PolicyDocument": with_tls(policy, arn)}
        self.add(each.name, "QueuePolicy", type="AWS::SQS::QueuePolicy", properties=document)

    def _own_queue(
        self,
        source: Source,
        what: str,
        name: str,
        arn: str,
        after: Sequence[str] = (),
        answers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> str:
        wanted = {
            "QueueName": name,
            "MessageRetentionPeriod": MESSAGE_SECONDS,
            "KmsMasterKeyId": self._keys.messages.key_arn,
            **more,
        }
        made = self.add(source.name, what, type="AWS::SQS::Queue", properties=wanted, after=after, answers=answers)
        policy = queue_policy(arn, self.estate.rule(source))
        document = {"Queues": [{"Ref": made}], "PolicyDocument": with_tls(policy, arn)}
        self.add(source.name, f"{what}Policy", type="AWS::SQS::QueuePolicy", properties=document)
        return made

    def _partner(self, source: str, sender: Sender) -> None:
        says = {"Condition": {"StringEquals": {"sts:ExternalId": sender.external_id}}} if sender.external_id else {}
        root = {"AWS": f"arn:aws:iam::{sender.account}:root"}
        trusted = {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole", **says}
        add_role(
            self,
            source,
            "Partner",
            name=names.partner_role(source),
            description=f"Writes files into the landing zone of {source}, and can do nothing else.",
            trusted=[trusted],
            statements=partner_statements(self.estate, self._keys, source),
        )
