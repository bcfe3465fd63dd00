"""ARNs of what settings and YAML call by its name."""


def role_arn(role: str, account: str) -> str:
    """That of a role which is named, or given by its ARN."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"


def key_arn(key: str, region: str, account: str) -> str:
    """That of a KMS key which is given by its id, its alias (``alias/...``) or its ARN."""
    if key.startswith("arn:"):
        return key
    return f"arn:aws:kms:{region}:{account}:{key if key.startswith('alias/') else f'key/{key}'}"


def table_arn(database: str, table: str, region: str, account: str) -> str:
    """That of a table of the Glue Data Catalog."""
    return f"arn:aws:glue:{region}:{account}:table/{database}/{table}"
