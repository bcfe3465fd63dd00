"""Objects in the bucket of a task, written as anybody writes, so that they make events."""

from adplatform.local.aws.managed import own_s3


def put(bucket: str, key: str, body: bytes) -> None:
    """
    Raises:
        ClientError: S3 refuses it.
    """
    own_s3().put_object(Bucket=bucket, Key=key, Body=body)


def delete_below(bucket: str, prefix: str) -> None:
    """
    Raises:
        ClientError: S3 refuses it.
    """
    for page in own_s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            own_s3().delete_object(Bucket=bucket, Key=found["Key"])


def count_below(bucket: str, prefix: str) -> int:
    """
    Raises:
        ClientError: S3 refuses it.
    """
    pages = own_s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sum(len(page.get("Contents", [])) for page in pages)
