"""Flows and connections of declared sources, and what lets AppFlow write."""

from deploy.template import Assembly, Resource
from deploy.tests.engines import REFERENCE, key, leaves, policy_of_key

RAW = "arn:aws:s3:::acme-ads-raw"
SECRETIVE = ("apikey", "clientsecret", "password", "refreshtoken", "accesstoken", "secretkey")


def flow(assembly: Assembly, name: str) -> Resource:
    [found] = [f for f in assembly.resources("AWS::AppFlow::Flow") if f.properties["FlowName"] == name]
    return found


def test_every_declared_flow_is_made_and_one_that_is_there_is_not(assembly: Assembly) -> None:
    made = {each.properties["FlowName"] for each in assembly.resources("AWS::AppFlow::Flow")}
    assert made == {"crm-contacts", "crm-won_deals", "deals-companies"}


def test_a_flow_writes_below_its_source_alone(assembly: Assembly) -> None:
    for each in assembly.resources("AWS::AppFlow::Flow"):
        [destination] = each.properties["DestinationFlowConfigList"]
        s3 = destination["DestinationConnectorProperties"]["S3"]
        source = each.properties["FlowName"].partition("-")[0]
        assert (s3["BucketName"], s3["BucketPrefix"]) == ("acme-ads-raw", f"landing/{source}")
        assert s3["S3OutputFormatConfig"]["PrefixConfig"]["PathPrefixHierarchy"] == ["SCHEMA_VERSION", "EXECUTION_ID"]
        assert each.properties["KMSArn"] == key(assembly, "data")


def test_a_flow_with_a_schedule_runs_from_the_start(assembly: Assembly) -> None:
    scheduled = flow(assembly, "crm-won_deals").properties
    assert scheduled["FlowStatus"] == "Active"
    assert scheduled["TriggerConfig"]["TriggerProperties"] == {
        "ScheduleExpression": "rate(1hours)",
        "DataPullMode": "Incremental",
        "FirstExecutionFrom": 1767225600,
        "FlowErrorDeactivationThreshold": 5,
    }
    on_demand = flow(assembly, "crm-contacts").properties
    assert on_demand["TriggerConfig"] == {"TriggerType": "OnDemand"}
    assert "FlowStatus" not in on_demand


def test_conditions_of_a_flow_are_lists_of_keys_and_values(assembly: Assembly) -> None:
    tasks = flow(assembly, "crm-won_deals").properties["Tasks"]
    conditions = [{p["Key"]: p["Value"] for p in task["TaskProperties"]} for task in tasks if "TaskProperties" in task]
    assert conditions == [
        {"DATA_TYPE": "string", "VALUE": "Closed Won"},
        {"DATA_TYPE": "double", "LOWER_BOUND": "1", "UPPER_BOUND": "9"},
    ]


def test_credentials_of_connections_are_references_alone(assembly: Assembly) -> None:
    seen = 0
    for each in assembly.resources("AWS::AppFlow::ConnectorProfile"):
        told = each.properties["ConnectorProfileConfig"]["ConnectorProfileCredentials"]
        for path, value in leaves(told):
            if path.rpartition(".")[2].lower() in SECRETIVE:
                seen += 1
                assert REFERENCE.fullmatch(value), path
        assert each.properties["KMSArn"] == key(assembly, "secrets")
    assert seen == 2


def test_appflow_reads_the_client_of_salesforce_by_itself(assembly: Assembly) -> None:
    [policy] = assembly.resources("AWS::SecretsManager::ResourcePolicy")
    assert policy.properties["SecretId"] == "crm/salesforce"
    [allowed] = policy.properties["ResourcePolicy"]["Statement"]
    assert allowed["Principal"] == {"Service": "appflow.amazonaws.com"}
    assert (allowed["Action"], allowed["Condition"]) == (
        "secretsmanager:GetSecretValue",
        {"StringEquals": {"aws:SourceAccount": assembly.account}},
    )
    of_key = policy_of_key(assembly, "secrets")["AppFlowReadsClients"]
    assert of_key["Condition"]["StringEquals"] == {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}


def test_appflow_may_write_landing_zones_of_its_sources_and_nothing_else(assembly: Assembly) -> None:
    [policy] = [p for p in assembly.resources("AWS::S3::BucketPolicy") if p.properties["Bucket"] == "acme-ads-raw"]
    allowed = [s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert all(s["Principal"] == {"Service": "appflow.amazonaws.com"} for s in allowed)
    assert all(s["Condition"] == {"StringEquals": {"aws:SourceAccount": assembly.account}} for s in allowed)
    writes = [resource for s in allowed if "s3:PutObject" in s["Action"] for resource in s["Resource"]]
    assert writes == [f"{RAW}/landing/crm/*", f"{RAW}/landing/deals/*"]
    reads = [action for s in allowed for action in s["Action"] if "GetObject" in action or action == "s3:ListBucket"]
    assert reads == []


def test_appflow_encrypts_with_the_key_of_data_in_the_raw_bucket_alone(assembly: Assembly) -> None:
    of_key = policy_of_key(assembly, "data")["AppFlowWrites"]
    assert of_key["Condition"]["StringEquals"] == {
        "kms:ViaService": "s3.eu-west-1.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": RAW,
    }


def test_a_flow_waits_for_its_connection(assembly: Assembly) -> None:
    for each in assembly.resources("AWS::AppFlow::Flow"):
        [waits] = each.raw["DependsOn"]
        assert assembly.stacks[each.stack]["Resources"][waits]["Type"] == "AWS::AppFlow::ConnectorProfile"
