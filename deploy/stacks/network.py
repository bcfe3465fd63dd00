"""Where the processes run: a VPC of two zones with a way out, or subnets that are there, and who may talk to whom."""

from typing import Any

from constructs import Construct

from adplatform.platform import names
from deploy.estate import Estate
from deploy.resources import ResourceStack, imported
from deploy.roles import add_role, allow, service
from deploy.stacks.keys import KeysStack

_ZONES = 2
_GATEWAYS = ("s3", "dynamodb")
"""Services that subnets reach without leaving AWS's network, at no price."""
VPC, SUBNETS = "adplatform-vpc", "adplatform-subnets"
BALANCER, SERVICES, DATABASE = "adplatform-balancer-group", "adplatform-services-group", "adplatform-database-group"
"""Exports: the security groups of the load balancer, of all processes, and of Dagster's database."""
_POSTGRES, _CODE, _WEB, _TLS = 5432, 4000, 3000, 443


class NetworkStack(ResourceStack):
    def __init__(self, scope: Construct, name: str, estate: Estate, keys: KeysStack, **settings: Any) -> None:
        super().__init__(scope, name, estate, **settings)
        self._keys = keys
        given = estate.config.network
        if given.vpc is not None:
            vpc: Any = given.vpc
            subnets: list[Any] = list(given.subnets)
        else:
            vpc, subnets = self._made()
        self.export(VPC, vpc)
        self.export(SUBNETS, {"Fn::Join": [",", subnets]})
        self._groups(vpc)

    def _made(self) -> tuple[Any, list[Any]]:
        """A VPC with public subnets for NAT gateways alone, and private ones for everything else."""
        given = self.estate.config.network
        wanted = {"CidrBlock": given.cidr, "EnableDnsHostnames": True, "EnableDnsSupport": True, "Tags": _named("vpc")}
        vpc = self.add("Vpc", type="AWS::EC2::VPC", properties=wanted)
        gateway = self.add("Gateway", type="AWS::EC2::InternetGateway", properties={"Tags": _named("gateway")})
        wanted = {"VpcId": {"Ref": vpc}, "InternetGatewayId": {"Ref": gateway}}
        attached = self.add("Attachment", type="AWS::EC2::VPCGatewayAttachment", properties=wanted)
        public = self.add("Public", type="AWS::EC2::RouteTable", properties=_of(vpc, "public"))
        wanted = {"RouteTableId": {"Ref": public}, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": {"Ref": gateway}}
        self.add("PublicOut", type="AWS::EC2::Route", properties=wanted, after=[attached])
        ways_out = [self._nat(vpc, public, zone, attached) for zone in range(min(given.nat_gateways, _ZONES))]
        private, tables = [], []
        for zone in range(_ZONES):
            subnet = self._subnet(vpc, "private", zone)
            table = self.add("Private", str(zone), type="AWS::EC2::RouteTable", properties=_of(vpc, f"private-{zone}"))
            self._joined(f"Private{zone}", subnet, table)
            if ways_out:
                nat = {"Ref": ways_out[zone % len(ways_out)]}
                wanted = {"RouteTableId": {"Ref": table}, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat}
                self.add("PrivateOut", str(zone), type="AWS::EC2::Route", properties=wanted)
            private.append(subnet)
            tables.append(table)
        for reached in _GATEWAYS:
            wanted = {
                "VpcId": {"Ref": vpc},
                "VpcEndpointType": "Gateway",
                "ServiceName": f"com.amazonaws.{self.estate.region}.{reached}",
                "RouteTableIds": [{"Ref": table} for table in tables],
            }
            self.add("Endpoint", reached, type="AWS::EC2::VPCEndpoint", properties=wanted)
        self._flow_logs(vpc)
        return {"Ref": vpc}, [{"Ref": subnet} for subnet in private]

    def _subnet(self, vpc: str, kind: str, zone: int) -> str:
        index = zone + (_ZONES if kind == "public" else 0)
        wanted = {
            **_of(vpc, f"{kind}-{zone}"),
            "AvailabilityZone": {"Fn::Select": [zone, {"Fn::GetAZs": ""}]},
            "CidrBlock": {"Fn::Select": [index, {"Fn::Cidr": [self.estate.config.network.cidr, 2 * _ZONES, 12]}]},
            "MapPublicIpOnLaunch": False,
        }
        return self.add("Subnet", kind, str(zone), type="AWS::EC2::Subnet", properties=wanted)

    def _joined(self, name: str, subnet: str, table: str) -> None:
        wanted = {"SubnetId": {"Ref": subnet}, "RouteTableId": {"Ref": table}}
        self.add(f"{name}Joined", type="AWS::EC2::SubnetRouteTableAssociation", properties=wanted)

    def _nat(self, vpc: str, public: str, zone: int, attached: str) -> str:
        subnet = self._subnet(vpc, "public", zone)
        self._joined(f"Public{zone}", subnet, public)
        address = self.add("Address", str(zone), type="AWS::EC2::EIP", properties={"Domain": "vpc"}, after=[attached])
        wanted = {"SubnetId": {"Ref": subnet}, "AllocationId": {"Fn::GetAtt": [address, "AllocationId"]}}
        return self.add("Nat", str(zone), type="AWS::EC2::NatGateway", properties=wanted)

    def _flow_logs(self, vpc: str) -> None:
        group = f"{names.LOG_PREFIX}network"
        log = self.log_group(group, self._keys.logs.key_arn)
        role = names.FLOW_LOG_ROLE
        wanted = {
            "ResourceId": {"Ref": vpc},
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogGroupName": group,
            "DeliverLogsPermissionArn": self.estate.role(role),
        }
        made = self._flow_log_role(role, group)
        self.add("FlowLog", type="AWS::EC2::FlowLog", properties=wanted, after=[log, made])

    def _flow_log_role(self, role: str, group: str) -> str:
        streams = self.estate.arn("logs", f"log-group:{group}:*")
        return add_role(
            self,
            "FlowLogRole",
            name=role,
            description="Writes what the network refuses into its log group.",
            trusted=[service("vpc-flow-logs", self.estate)],
            statements=[
                allow(
                    ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                    streams,
                    why="Each network interface has a stream.",
                ),
            ],
        )

    def _groups(self, vpc: Any) -> None:
        """People reach the balancer, the balancer the web server, the processes each other's code server and the
        database. Processes may call AWS and partners anywhere."""
        out = [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "AWS, partners and their APIs"}]
        people = [
            {"IpProtocol": "tcp", "FromPort": _TLS, "ToPort": _TLS, "CidrIp": block, "Description": "people"}
            for block in self.estate.config.network.clients
        ]
        # The identity provider is somewhere in the internet.
        provider = [{"IpProtocol": "tcp", "FromPort": _TLS, "ToPort": _TLS, "CidrIp": "0.0.0.0/0"}]
        balancer = self._group(vpc, BALANCER, "The load balancer of the UI.", people, provider)
        services = self._group(vpc, SERVICES, "Code server, daemon, web server and runs.", [], out)
        database = self._group(vpc, DATABASE, "The database of Dagster.", [], _NOTHING)
        self._between(balancer, services, _WEB)
        self._between(services, services, _CODE)
        self._between(services, database, _POSTGRES, leaves=False)

    def _group(
        self, vpc: Any, export: str, description: str, into: list[dict[str, Any]], out: list[dict[str, Any]]
    ) -> str:
        wanted = {
            "GroupDescription": description,
            "VpcId": vpc,
            "SecurityGroupIngress": into,
            "SecurityGroupEgress": out,
            "Tags": _named(export.removeprefix(f"{names.PLATFORM}-")),
        }
        made = self.add(export, type="AWS::EC2::SecurityGroup", properties=wanted)
        self.export(export, {"Fn::GetAtt": [made, "GroupId"]})
        return made

    def _between(self, client: str, server: str, port: int, *, leaves: bool = True) -> None:
        ports = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        of = {"GroupId": {"Fn::GetAtt": [server, "GroupId"]}}
        source = {"SourceSecurityGroupId": {"Fn::GetAtt": [client, "GroupId"]}}
        wanted = {**of, **ports, **source}
        self.add("Into", client, server, type="AWS::EC2::SecurityGroupIngress", properties=wanted)
        if leaves and client != server:
            of = {"GroupId": {"Fn::GetAtt": [client, "GroupId"]}}
            target = {"DestinationSecurityGroupId": {"Fn::GetAtt": [server, "GroupId"]}}
            wanted = {**of, **ports, **target}
            self.add("OutTo", client, server, type="AWS::EC2::SecurityGroupEgress", properties=wanted)


def subnets() -> dict[str, Any]:
    """The private subnets, for a stack that comes after this one."""
    return {"Fn::Split": [",", imported(SUBNETS)]}


# EC2 lets everything out of a group without rules; a rule to nowhere stands for none.
_NOTHING = [{"IpProtocol": "icmp", "FromPort": 252, "ToPort": 86, "CidrIp": "255.255.255.255/32"}]


def _named(what: str) -> list[dict[str, str]]:
    return [{"Key": "Name", "Value": f"{names.PLATFORM}-{what}"}]


def _of(vpc: str, what: str) -> dict[str, Any]:
    return {"VpcId": {"Ref": vpc}, "Tags": _named(what)}
