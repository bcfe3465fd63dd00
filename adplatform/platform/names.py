"""What the parts of the platform are called in AWS: defaults of settings and contracts, and what a deployment makes.

Names of buckets are those of everybody in AWS: a deployment has its own, by ``ADPLATFORM_RAW_BUCKET`` and the like.
"""

RAW_BUCKET = "adplatform-raw"
CLEAN_BUCKET = "adplatform-clean"
LEDGER_TABLE = "adplatform-ledger"
DATABASE_PREFIX = "clean_"
QUEUE_PREFIX = "adplatform-arrivals-"
SUCCESS_TOPIC = "adplatform-success"
FAILURE_TOPIC = "adplatform-failure"
HASH_KEY_SECRET = "adplatform/hash-key"  # noqa: S105 - a name, not a secret

CRAWLER_ROLE = "adplatform-crawler"
DATASYNC_ROLE = "adplatform-datasync"
TRANSFER_ROLE = "adplatform-transfer"
"""With which users of SFTP servers and connectors work."""
WORKFLOW_ROLE = "adplatform-transfer-workflow"
UPLOAD_CHECK = "adplatform-upload-check"
"""The function of a managed workflow that checks what was uploaded."""
UPLOAD_PARTIAL = "adplatform-upload-partial"
UPLOAD_EXCEPTION = "adplatform-upload-exception"
