"""Published files for readers who have no S3."""

from pathlib import Path

from adplatform.flow.services import Services


def downloaded(services: Services, directory: Path, below: str) -> Path:
    """What the clean bucket has below a prefix for readers of paths, as files."""
    bucket = services.zones.clean_bucket
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below)
    for key in [each["Key"] for page in pages for each in page.get("Contents", [])]:
        target = directory / key
        target.parent.mkdir(parents=True, exist_ok=True)
        services.s3.download_file(bucket, key, str(target))
    return directory
