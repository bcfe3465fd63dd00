"""What roles of the synthesized templates may do, against what the platform calls."""

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest

from adplatform.platform import names
from deploy.estate import Estate
from deploy.least_privilege.needs import Need
from deploy.least_privilege.proof import Proof, matches, read_cases, read_unused
from deploy.least_privilege.shapes import read_recorded
from deploy.least_privilege.simulate import ALLOWED, simulate
from deploy.template import Assembly

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="IAM is simulated by a package for Node.js")


@pytest.fixture(scope="module")
def proof(assembly: Assembly, estate: Estate) -> Proof:
    return Proof(assembly, estate, frozenset(read_recorded()), read_cases())


def test_everything_that_is_called_is_allowed(proof: Proof) -> None:
    wanted = proof.sample
    verdicts = proof.answers(list(wanted)).verdicts
    refused = [
        f"{role} lacks {need.action} on {need.resource}, for {call}"
        for ((role, need), call), verdict in zip(wanted.items(), verdicts, strict=True)
        if verdict != ALLOWED
    ]
    assert refused == []


def test_everything_that_is_allowed_is_called_or_has_a_reason(proof: Proof) -> None:
    justified = read_unused()
    unused = proof.unused()
    answered = {
        grant: each
        for grant in unused
        for each in justified
        if matches(each.role, grant.role)
        and any(matches(action, grant.action) for action in each.actions)
        and any(matches(resource, grant.resource) for resource in each.resources)
    }
    assert [str(each) for each in unused if each not in answered] == [], "grants that nothing uses"
    assert [each for each in justified if each not in answered.values()] == [], (
        "reasons for what is used or not granted"
    )


def test_cases_that_documents_state_hold(proof: Proof) -> None:
    asked = proof.case_requests()
    verdicts = proof.answers([(role, need) for role, need, _ in asked]).verdicts
    wrong = [
        f"{role}: {need.action} on {need.resource} is {verdict}: {case.why}"
        for (role, need, case), verdict in zip(asked, verdicts, strict=True)
        if (verdict == ALLOWED) != case.allowed
    ]
    assert wrong == []


def test_only_roles_that_hash_read_the_hashing_key(proof: Proof) -> None:
    secret = proof.estate.settings.hash_key_secret
    key = Need("secretsmanager:GetSecretValue", proof.estate.arn("secretsmanager", f"secret:{secret}-AbCdEf"))
    hashing = {role for role, need in proof.wanted if need == key}
    hashing |= {role for role, need, case in proof.case_requests() if case.allowed and need == key}
    verdicts = proof.answers([(role, key) for role in proof.roles]).verdicts
    assert {role for role, verdict in zip(proof.roles, verdicts, strict=True) if verdict == ALLOWED} == hashing


def test_only_roles_that_work_with_quarantined_rows_decrypt_them(proof: Proof) -> None:
    key = Need("kms:Decrypt", proof.keys["quarantine"])
    working = {role for role, need in proof.wanted if (need.action, need.resource) == (key.action, key.resource)}
    verdicts = proof.answers([(role, key) for role in proof.roles]).verdicts
    assert {role for role, verdict in zip(proof.roles, verdicts, strict=True) if verdict == ALLOWED} <= working


def test_whatever_is_on_all_resources_knows_none(proof: Proof) -> None:
    """An action that can be allowed on resources is, unless nobody can know them."""
    wide = [each for each in proof.grants if each.resource == "*"]
    known = proof.answers([], {each.action for each in wide}).resource_types
    unnamed = {
        "cloudwatch:PutMetricData": "its condition names the namespace",
        "ec2:DescribeVpcAttribute": "of the network that a connection names",
    }
    named = [each for each in wide if "*" in each.action or known[each.action]]
    assert [str(each) for each in named if each.action not in unnamed] == []


def test_policies_are_within_the_quota(proof: Proof) -> None:
    """IAM User Guide, "IAM and AWS STS quotas": the inline policies of a role together, and each managed one, without
    blanks."""
    for role in proof.roles:
        managed = {_size(each["PolicyDocument"]) for each in proof.managed(role)}
        assert all(size <= 6_144 for size in managed), f"{role}: {managed} characters"
        size = sum(_size(document) for _, document in proof.identity(role)) - sum(managed)
        assert size <= 10_240, f"{role}: {size} characters"


def _size(document: object) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def test_without_tls_nothing_is_allowed(proof: Proof) -> None:
    writes = [(role, need) for role, need in proof.sample if need.action == "s3:PutObject"]
    asked = [(role, Need(n.action, n.resource, (("aws:SecureTransport", "false"),))) for role, n in writes]
    assert ALLOWED not in proof.answers(asked).verdicts


def grants(statement: dict[str, Any], need: Need) -> bool:
    return any(matches(each, need.action) for each in statement["Action"]) and any(
        matches(each, need.resource) for each in statement["Resource"]
    )


@pytest.mark.parametrize("role", [names.CODE_SERVER_ROLE, names.DAEMON_ROLE, names.run_role("northwind")])
def test_a_statement_that_is_taken_away_is_missed(proof: Proof, role: str) -> None:
    """The proof is no tautology: what only one statement grants is refused without it."""
    (name, document), *_ = proof.identity(role)
    statements = document["Statement"]
    policies, requests = {}, []
    for number, taken in enumerate(statements):
        left = [each for each in statements if each is not taken]
        alone = (n for r, n in proof.wanted if r == role and grants(taken, n) and not any(grants(s, n) for s in left))
        if (need := next(alone, None)) is not None:
            policies[f"{name}/{number}"] = {**document, "Statement": left}
            requests.append(replace(proof.asked(role, need), identity=(f"{name}/{number}",)))
    assert len(requests) >= len(statements) / 2
    assert ALLOWED not in simulate(proof.estate.account, {**proof.policies, **policies}, requests).verdicts


def test_actions_that_are_none_are_errors(proof: Proof) -> None:
    for need in (Need("s3:ListObjectsV2", proof.estate.raw()), Need("s3:ListBucket", proof.estate.raw("a.csv"))):
        with pytest.raises(ValueError, match=need.action):
            proof.answers([(names.partner_role("clubcard"), need)])
