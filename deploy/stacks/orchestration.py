"""Dagster on Fargate: code server, one daemon, web server behind an internal load balancer, runs, their database."""

from collections.abc import Sequence
from typing import Any

from constructs import Construct

from adplatform.flow.provision import bucket_policy
from adplatform.lake.personal_tags import tag_request
from adplatform.platform import names
from deploy import consumers, process_roles, roles
from deploy.engines import inside
from deploy.estate import Estate
from deploy.processes import CODE, DAEMON, PROCESSES, RUN, WEB, Process
from deploy.properties import closed_bucket
from deploy.resources import ResourceStack, imported
from deploy.roles import add_policy, add_role, merged
from deploy.stacks.keys import KeysStack
from deploy.stacks.network import BALANCER, DATABASE, SERVICES, VPC, subnets
from deploy.workloads import workload_statements

_POSTGRES, _TLS = 5432, 443
_STOP_SECONDS = 120
"""Between SIGTERM and SIGKILL: the most that Fargate takes (ECS API reference, ContainerDefinition)."""
_HOME = "/var/lib/adplatform"
_USER = "dagster"


class OrchestrationStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, termination_protection=True, **settings)
        self._keys = keys
        self._groups = {process.name: self.log_group(process.log_group, keys.logs.key_arn) for process in PROCESSES}
        self._roles()
        self._compute_logs()
        self._password = self._database_password()
        self._database = self._postgres()
        self._cluster = self._made_cluster()
        self._run = self._task(RUN, DAGSTER_RUN_TASK_DEFINITION=names.RUN_FAMILY)
        code = self._code_server()
        daemon = self._service(DAEMON, after=[code], DeploymentConfiguration=_ONE)
        self._web(after=[code, daemon])

    def _roles(self) -> None:
        """What ECS needs to start tasks, and what each kind of task may do."""
        estate, keys = self.estate, self._keys
        tasks = roles.service("ecs-tasks", estate)
        every = [
            (names.EXECUTION_ROLE, "Starts tasks.", roles.execution_statements(estate, keys)),
            (
                names.CODE_SERVER_ROLE,
                "The code server, where sensors run.",
                roles.merged(process_roles.code_statements(estate, keys)),
            ),
            (names.DAEMON_ROLE, "The daemon, which launches runs.", roles.daemon_statements(estate, keys)),
            (names.WEBSERVER_ROLE, "The web server.", roles.web_statements(estate, keys)),
            (names.RUN_ROLE, "Runs that belong to no source.", process_roles.run_statements(estate, keys, None)),
            *(
                (
                    names.run_role(each.name),
                    f"Runs of {each.name}.",
                    process_roles.run_statements(estate, keys, each),
                )
                for each in estate.sources
            ),
        ]
        of_sources = {names.run_role(each.name) for each in estate.sources}
        made = {}
        for name, description, statements in every:
            logical = add_role(self, name, name=name, description=description, trusted=[tasks], statements=statements)
            made[name] = logical
            if name in of_sources and estate.settings.personal_tag:
                self._tagging(name, logical)
        who = estate.config.operators or [f"arn:aws:iam::{estate.account}:root"]
        people = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
        made[names.OPERATOR_ROLE] = add_role(
            self,
            names.OPERATOR_ROLE,
            name=names.OPERATOR_ROLE,
            description="People who use the platform's commands.",
            trusted=[people],
            statements=merged([*process_roles.operator_statements(estate, keys), *inside.statements(estate, keys)]),
        )
        consumers.add_policy(self, estate, keys, names.OPERATOR_ROLE, made[names.OPERATOR_ROLE])
        if workloads := workload_statements(estate):
            add_policy(
                self,
                names.WORKLOADS_POLICY,
                name=names.WORKLOADS_POLICY,
                description="What services do with tables when they were published.",
                of=[made[names.CODE_SERVER_ROLE], made[names.OPERATOR_ROLE]],
                statements=workloads,
            )

    def _tagging(self, role: str, made: str) -> None:
        """Runs of a source tag the columns of tables that they have made (Lake Formation developer guide, "Assigning
        LF-Tags to Data Catalog resources")."""
        tag = tag_request(self.estate.settings.personal_tag)
        wanted = {
            "Principal": {"DataLakePrincipalIdentifier": self.estate.role(role)},
            "Resource": {"LFTag": {"CatalogId": self.estate.account, **tag}},
            "Permissions": ["ASSOCIATE", "DESCRIBE"],
            "PermissionsWithGrantOption": [],
        }
        permission = "AWS::LakeFormation::PrincipalPermissions"
        self.add(role, "tags", type=permission, properties=wanted, after=[made])

    def _compute_logs(self) -> None:
        """What steps print. It names files, and may be shown to who sees the UI."""
        bucket = self.estate.compute_logs
        expiry = {"Id": "compute-logs", "Status": "Enabled", "ExpirationInDays": _COMPUTE_LOG_DAYS}
        wanted = closed_bucket(
            bucket,
            self._keys.dagster.key_arn,
            LoggingConfiguration={
                "DestinationBucketName": self.estate.access_logs,
                "LogFilePrefix": "compute-logs/",
            },
            LifecycleConfiguration={"Rules": [expiry]},
        )
        made = self.add("ComputeLogs", type="AWS::S3::Bucket", properties=wanted, retain=True)
        policy = {"Bucket": bucket, "PolicyDocument": bucket_policy(bucket)}
        self.add("ComputeLogsPolicy", type="AWS::S3::BucketPolicy", properties=policy, after=[made])

    def _database_password(self) -> str:
        generated = {
            "SecretStringTemplate": f'{{"username": "{_USER}"}}',
            "GenerateStringKey": "password",
            "PasswordLength": 40,
            "ExcludePunctuation": True,
        }
        wanted = {
            "Name": names.DATABASE_SECRET,
            "KmsKeyId": self._keys.dagster.key_arn,
            "GenerateSecretString": generated,
        }
        rotated = "Tasks have it in their environment from their start on: deploy/README.md says how it is changed."
        kind, answers = "AWS::SecretsManager::Secret", {"SMG4": rotated}
        return self.add("DatabasePassword", type=kind, properties=wanted, retain=True, answers=answers)

    def _postgres(self) -> str:
        group = self.add(
            "DatabaseSubnets",
            type="AWS::RDS::DBSubnetGroup",
            properties={"DBSubnetGroupDescription": "Dagster's database", "SubnetIds": subnets()},
        )
        settings = self.add(
            "DatabaseSettings",
            type="AWS::RDS::DBParameterGroup",
            properties={
                "Family": f"postgres{self.estate.config.database.version.partition('.')[0]}",
                "Description": "Dagster's database",
                "Parameters": {"rds.force_ssl": "1"},
            },
        )
        key = self._keys.dagster.key_arn
        password = f"{{{{resolve:secretsmanager:{names.DATABASE_SECRET}:SecretString:password}}}}"
        wanted = {
            "DBInstanceIdentifier": names.DATABASE,
            "DBName": _USER,
            "Engine": "postgres",
            "EngineVersion": self.estate.config.database.version,
            "DBInstanceClass": self.estate.config.database.instance,
            "StorageType": "gp3",
            "AllocatedStorage": "50",
            "MaxAllocatedStorage": 500,
            "StorageEncrypted": True,
            "KmsKeyId": key,
            "MasterUsername": _USER,
            "MasterUserPassword": password,
            "Port": str(_POSTGRES),
            "MultiAZ": self.estate.config.database.two_zones,
            "PubliclyAccessible": False,
            "DBSubnetGroupName": {"Ref": group},
            "VPCSecurityGroups": [imported(DATABASE)],
            "DBParameterGroupName": {"Ref": settings},
            "EnableIAMDatabaseAuthentication": True,
            "BackupRetentionPeriod": 14,
            "CopyTagsToSnapshot": True,
            "DeletionProtection": True,
            "AutoMinorVersionUpgrade": True,
            "EnablePerformanceInsights": True,
            "PerformanceInsightsKMSKeyId": key,
            "EnableCloudwatchLogsExports": ["postgresql"],
        }
        answers = {"RDS11": "Only the processes' security group reaches it, so another port hides nothing."}
        if not self.estate.config.database.two_zones:
            answers["RDS3"] = "The deployment's configuration asks for one zone."
        return self.add(
            "Database",
            type="AWS::RDS::DBInstance",
            properties=wanted,
            retain=True,
            after=[self._password],
            answers=answers,
        )

    def _made_cluster(self) -> str:
        wanted = {
            "ClusterName": names.CLUSTER,
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
        }
        return self.add("Cluster", type="AWS::ECS::Cluster", properties=wanted)

    def _environment(self) -> dict[str, Any]:
        """Of every task. No secret is in it."""
        estate, keys = self.estate, self._keys
        return {
            "AWS_DEFAULT_REGION": estate.region,
            **estate.config.environment,
            "ADPLATFORM_KMS_KEY_ID": keys.data.key_arn,
            "ADPLATFORM_QUARANTINE_KMS_KEY_ID": keys.quarantine.key_arn,
            "ADPLATFORM_CODE_HOST": names.CODE_HOST,
            **self._spark(),
            "ADPLATFORM_RUN_ROLES": estate.role(""),
            "ADPLATFORM_BACKFILL_CAPACITY": "FARGATE_SPOT" if estate.config.spot_backfills else "FARGATE",
            "DAGSTER_CURRENT_IMAGE": estate.image,
            "DAGSTER_LOGS_BUCKET": estate.compute_logs,
            "DAGSTER_POSTGRES_DB": _USER,
            "DAGSTER_POSTGRES_USER": _USER,
            "DAGSTER_POSTGRES_HOSTNAME": {"Fn::GetAtt": [self._database, "Endpoint.Address"]},
        }

    def _spark(self) -> dict[str, Any]:
        """Of the Spark that transforms deliveries: the role of its runs."""
        spark = self.estate.settings.spark
        return {"ADPLATFORM_SPARK_ROLE": self.estate.role(names.SPARK_ROLE)} if spark else {}

    def _task(self, process: Process, **more: Any) -> str:
        """A task definition; its logical id, whose reference is the ARN of the revision."""
        estate = self.estate
        environment = {**self._environment(), **process.environment, **more}
        password = {"Fn::Join": ["", [{"Ref": self._password}, ":password::"]]}
        container: dict[str, Any] = {
            "Name": process.name,
            "Image": estate.image,
            "Command": [*process.command],
            "Essential": True,
            # A task's own limit is no limit of the container's control group, by which processes take their share.
            "Memory": process.memory,
            "StopTimeout": _STOP_SECONDS,
            "ReadonlyRootFilesystem": True,
            "MountPoints": [{"SourceVolume": "work", "ContainerPath": _HOME, "ReadOnly": False}],
            "LinuxParameters": {"InitProcessEnabled": True},
            "Environment": [{"Name": name, "Value": value} for name, value in sorted(environment.items())],
            "Secrets": [{"Name": "DAGSTER_POSTGRES_PASSWORD", "ValueFrom": password}],
            "LogConfiguration": {
                "LogDriver": "awslogs",
                "Options": {
                    "awslogs-group": process.log_group,
                    "awslogs-region": estate.region,
                    "awslogs-stream-prefix": process.name,
                },
            },
        }
        if process.port is not None:
            container["PortMappings"] = [{"ContainerPort": process.port, "Protocol": "tcp"}]
        if process.health:
            container["HealthCheck"] = {
                "Command": ["CMD", *process.health],
                "Interval": 30,
                "Timeout": 20,
                "Retries": 3,
                "StartPeriod": 120,
            }
        wanted = {
            "Family": process.family or f"{names.PLATFORM}-{process.name}",
            "Cpu": str(process.cpu),
            "Memory": str(process.memory),
            "NetworkMode": "awsvpc",
            "RequiresCompatibilities": ["FARGATE"],
            "RuntimePlatform": {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"},
            "TaskRoleArn": estate.role(process.role),
            "ExecutionRoleArn": estate.role(names.EXECUTION_ROLE),
            "Volumes": [{"Name": "work"}],
            "ContainerDefinitions": [container],
            **({"EphemeralStorage": {"SizeInGiB": process.disk}} if process.disk else {}),
        }
        answers = {"ECS2": "The environment has names alone; the database's password comes from Secrets Manager."}
        return self.add(
            process.name,
            "Task",
            type="AWS::ECS::TaskDefinition",
            properties=wanted,
            after=[self._groups[process.name]],
            answers=answers,
        )

    def _service(self, process: Process, after: Sequence[str] = (), **more: Any) -> str:
        task = self._task(process, DAGSTER_RUN_TASK_DEFINITION={"Ref": self._run})
        wanted = {
            "ServiceName": process.name,
            "Cluster": {"Ref": self._cluster},
            "TaskDefinition": {"Ref": task},
            "LaunchType": "FARGATE",
            "DesiredCount": 1,
            "EnableExecuteCommand": False,
            "PropagateTags": "SERVICE",
            "NetworkConfiguration": {
                "AwsvpcConfiguration": {
                    "AssignPublicIp": "DISABLED",
                    "Subnets": subnets(),
                    "SecurityGroups": [imported(SERVICES)],
                }
            },
            **more,
        }
        return self.add(process.name, "Service", type="AWS::ECS::Service", properties=wanted, after=after)

    def _code_server(self) -> str:
        """The one of a new image is healthy before anything that asks it is replaced."""
        space = self.add(
            "Namespace",
            type="AWS::ServiceDiscovery::PrivateDnsNamespace",
            properties={"Name": names.NAMESPACE, "Vpc": imported(VPC)},
        )
        found = self.add(
            "CodeHost",
            type="AWS::ServiceDiscovery::Service",
            properties={
                "Name": names.CODE_HOST.partition(".")[0],
                "NamespaceId": {"Ref": space},
                "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 10}], "RoutingPolicy": "MULTIVALUE"},
                "HealthCheckCustomConfig": {"FailureThreshold": 1},
            },
        )
        registry = {"RegistryArn": {"Fn::GetAtt": [found, "Arn"]}}
        return self._service(
            CODE, after=[self._database], ServiceRegistries=[registry], DeploymentConfiguration=_REPLACED
        )

    def _web(self, after: Sequence[str]) -> None:
        """Nobody sees the UI whom the identity provider does not know."""
        estate, ui = self.estate, self.estate.config.ui
        balancer = self.add(
            "Balancer",
            type="AWS::ElasticLoadBalancingV2::LoadBalancer",
            properties={
                "Name": names.PLATFORM,
                "Type": "application",
                "Scheme": "internal",
                "Subnets": subnets(),
                "SecurityGroups": [imported(BALANCER)],
                "LoadBalancerAttributes": [
                    {"Key": "access_logs.s3.enabled", "Value": "true"},
                    {"Key": "access_logs.s3.bucket", "Value": estate.access_logs},
                    {"Key": "access_logs.s3.prefix", "Value": "ui"},
                    {"Key": "deletion_protection.enabled", "Value": "true"},
                    {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                    {"Key": "idle_timeout.timeout_seconds", "Value": "300"},
                ],
            },
        )
        target = self.add(
            "WebTarget",
            type="AWS::ElasticLoadBalancingV2::TargetGroup",
            properties={
                "VpcId": imported(VPC),
                "TargetType": "ip",
                "Port": WEB.port,
                "Protocol": "HTTP",
                "HealthCheckPath": "/server_info",
                "Matcher": {"HttpCode": "200"},
                "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}],
            },
        )
        secret = f"{{{{resolve:secretsmanager:{ui.oidc.client_secret}:SecretString:client_secret}}}}"
        login = {
            "Type": "authenticate-oidc",
            "Order": 1,
            "AuthenticateOidcConfig": {
                "Issuer": ui.oidc.issuer,
                "AuthorizationEndpoint": ui.oidc.authorization_endpoint,
                "TokenEndpoint": ui.oidc.token_endpoint,
                "UserInfoEndpoint": ui.oidc.user_info_endpoint,
                "ClientId": ui.oidc.client_id,
                "ClientSecret": secret,
                "OnUnauthenticatedRequest": "authenticate",
                "Scope": "openid",
            },
        }
        listener = self.add(
            "Listener",
            type="AWS::ElasticLoadBalancingV2::Listener",
            properties={
                "LoadBalancerArn": {"Ref": balancer},
                "Port": _TLS,
                "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": ui.certificate}],
                "DefaultActions": [login, {"Type": "forward", "Order": 2, "TargetGroupArn": {"Ref": target}}],
            },
        )
        self._service(
            WEB,
            after=[*after, listener],
            DeploymentConfiguration=_REPLACED,
            HealthCheckGracePeriodSeconds=120,
            LoadBalancers=[{"ContainerName": WEB.name, "ContainerPort": WEB.port, "TargetGroupArn": {"Ref": target}}],
        )


_COMPUTE_LOG_DAYS = 90
_BREAKER = {"DeploymentCircuitBreaker": {"Enable": True, "Rollback": True}}
_REPLACED = {**_BREAKER, "MinimumHealthyPercent": 100, "MaximumPercent": 200}
"""The new task serves before the old one ends."""
_ONE = {**_BREAKER, "MinimumHealthyPercent": 0, "MaximumPercent": 100}
"""Never two at a time: Dagster takes one daemon only."""
