"""How the platform is watched: log groups, dashboards, alarms, archives of its events, the clean zone's trail."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from constructs import Construct

from adplatform.flow.provision import bucket_policy
from adplatform.platform import names
from deploy.estate import DeployedSource, Estate
from deploy.properties import closed_bucket
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack
from deploy.watching.alarms import (
    KILLED,
    Alarm,
    alarms,
    alarms_of_platform,
    alarms_of_source,
    killed_tasks,
)
from deploy.watching.dashboards import dashboards

TRAIL_DAYS = 400
"""For how long the trail is kept. For the first ``LOCKED_DAYS`` nobody can delete any of it."""
LOCKED_DAYS = 365
ARCHIVE_DAYS = 14
"""As long as a queue keeps an event."""
_KILLED_LOG = f"/aws/events/{KILLED}"
"""Of all groups EventBridge writes only to those below ``/aws/events/``."""
_ARCHIVE_NAME = 48
"""Characters of an archive's name (EventBridge API reference, CreateArchive)."""


def of_sources(scope: Construct, estate: Estate, **settings: Any) -> list[ResourceStack]:
    """Stacks for what grows with feeds. One may have 500 resources and 1 MB (AWS CloudFormation User Guide, "Understand
    CloudFormation quotas"), of which alarms and dashboards of all sources together would make more."""
    pages = dashboards(estate, alarms(estate))
    return [
        *(AlarmsStack(scope, estate, each, **settings) for each in estate.sources),
        *(
            DashboardStack(scope, estate, title, body, **settings)
            for title, body in pages.items()
            if title != names.PLATFORM
        ),
    ]


class AlarmsStack(ResourceStack):
    """The alarms of one source: two a feed and a few."""

    def __init__(self, scope: Construct, estate: Estate, source: DeployedSource, **settings: Any) -> None:
        super().__init__(scope, f"{names.PLATFORM}-alarms-{source.name.replace('_', '-')}", estate, **settings)
        _add(self, alarms_of_source(estate, source))


class DashboardStack(ResourceStack):
    """A dashboard of sources of one pattern, up to half a MB."""

    def __init__(self, scope: Construct, estate: Estate, title: str, body: str, **settings: Any) -> None:
        own = title.removeprefix(f"{names.PLATFORM}-")
        super().__init__(scope, f"{names.PLATFORM}-dashboard-{own}", estate, **settings)
        _add_dashboard(self, title, body)


def _add_dashboard(stack: ResourceStack, title: str, body: str) -> None:
    wanted = {"DashboardName": title, "DashboardBody": body}
    stack.add("Dashboard", title, type="AWS::CloudWatch::Dashboard", properties=wanted)


def _add(stack: ResourceStack, found: Iterable[Alarm]) -> None:
    for alarm in found:
        stack.add("Alarm", alarm["AlarmName"], type="AWS::CloudWatch::Alarm", properties=alarm)


class ObservabilityStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        self._keys = keys
        self._killed_runs()
        _add(self, alarms_of_platform(estate))
        _add_dashboard(self, names.PLATFORM, dashboards(estate, alarms(estate))[names.PLATFORM])
        for source, events in estate.queues:
            self._archive(source.name, events)
        self._trail()

    def _killed_runs(self) -> None:
        """Each match is a value of the metric that the alarm is about; the event itself is kept in a log group."""
        estate = self.estate
        group, arn = (
            self.log_group(_KILLED_LOG, self._keys.logs.key_arn),
            estate.arn("logs", f"log-group:{_KILLED_LOG}"),
        )
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": f"{arn}:*",
                    "Condition": {"ArnEquals": {"aws:SourceArn": estate.arn("events", f"rule/{KILLED}")}},
                }
            ],
        }
        document = {"PolicyName": KILLED, "PolicyDocument": json.dumps(policy)}
        allowed = self.add("Killed", "LogPolicy", type="AWS::Logs::ResourcePolicy", properties=document, after=[group])
        rule = {
            "Name": KILLED,
            "Description": "Tasks of runs that were killed.",
            "EventPattern": killed_tasks(estate),
            "State": "ENABLED",
            "Targets": [{"Id": "log", "Arn": arn}],
        }
        self.add("Killed", "Rule", type="AWS::Events::Rule", properties=rule, after=[allowed])

    def _archive(self, source: str, events: Mapping[str, Any]) -> None:
        """What the source's rule takes is kept, and can be replayed to this rule."""
        wanted = {
            "ArchiveName": names.within(_ARCHIVE_NAME, names.PLATFORM, source),
            "Description": f"Events of {source}, for a replay to its rule.",
            "SourceArn": self.estate.arn("events", "event-bus/default"),
            "EventPattern": events,
            "RetentionDays": ARCHIVE_DAYS,
            "KmsKeyIdentifier": self._keys.messages.key_arn,
        }
        self.add("Archive", source, type="AWS::Events::Archive", properties=wanted)

    def _trail(self) -> None:
        """Who reads and writes objects of the clean zone."""
        estate = self.estate
        bucket, arn = f"{estate.settings.clean_bucket}-trail", estate.arn("cloudtrail", f"trail/{names.TRAIL}")
        expiry = {"Id": "trail", "Status": "Enabled", "ExpirationInDays": TRAIL_DAYS}
        old = {"Id": "replaced", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
        locked = {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": LOCKED_DAYS}},
        }
        wanted = closed_bucket(
            bucket,
            self._keys.logs.key_arn,
            VersioningConfiguration={"Status": "Enabled"},
            ObjectLockEnabled=True,
            ObjectLockConfiguration=locked,
            LifecycleConfiguration={"Rules": [expiry, old]},
        )
        answers = {"S1": "Who reads the trail is to be found in the account's own trail; its files cannot be changed."}
        made = self.add("Trail", "Bucket", type="AWS::S3::Bucket", properties=wanted, retain=True, answers=answers)
        cloudtrail = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
        own = {"aws:SourceArn": arn}
        policy = bucket_policy(bucket, encrypted=False)
        statements = [
            *policy["Statement"],
            {
                "Sid": "TrailLooks",
                **cloudtrail,
                "Action": "s3:GetBucketAcl",
                "Resource": estate.bucket(bucket),
                "Condition": {"StringEquals": own},
            },
            {
                "Sid": "TrailWrites",
                **cloudtrail,
                "Action": "s3:PutObject",
                "Resource": estate.bucket(bucket, f"AWSLogs/{estate.account}/*"),
                "Condition": {"StringEquals": {**own, "s3:x-amz-acl": "bucket-owner-full-control"}},
            },
        ]
        document = {"Bucket": bucket, "PolicyDocument": {**policy, "Statement": statements}}
        allowed = self.add("Trail", "Policy", type="AWS::S3::BucketPolicy", properties=document, after=[made])
        fields = {
            "eventCategory": {"Equals": ["Data"]},
            "resources.type": {"Equals": ["AWS::S3::Object"]},
            "resources.ARN": {"StartsWith": [estate.clean("") + "/"]},
        }
        selected = [{"Field": field, **condition} for field, condition in fields.items()]
        trail = {
            "TrailName": names.TRAIL,
            "S3BucketName": bucket,
            "KMSKeyId": self._keys.logs.key_arn,
            "IsLogging": True,
            "EnableLogFileValidation": True,
            "IncludeGlobalServiceEvents": False,
            "IsMultiRegionTrail": False,
            "AdvancedEventSelectors": [{"Name": "Objects of the clean zone", "FieldSelectors": selected}],
        }
        self.add("Trail", type="AWS::CloudTrail::Trail", properties=trail, after=[allowed])
