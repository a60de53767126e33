"""List prices of AWS in us-east-1, on demand, in dollars, without free tiers and discounts for volume.

They are from the pages named in the comments, as of 2026-11-22; check there before you rely on one. Functions run on
arm64.
"""

from collections.abc import Mapping
from typing import Final

GB: Final = 1e9
GIB: Final = float(1 << 30)
MONTH_HOURS: Final = 730

# aws.amazon.com/api-gateway/pricing: HTTP APIs, the first 300 million a month; metered in steps of 512 KB
API_REQUEST: Final = 1.00 / 1e6
API_STEP: Final = 512 * 1024  # bytes
# aws.amazon.com/lambda/pricing: arm64, the first 7.5 billion GB-seconds a month
LAMBDA_REQUEST: Final = 0.20 / 1e6
LAMBDA_GB_SECOND: Final = 0.0000133334
# aws.amazon.com/dynamodb/pricing/on-demand: table class Standard
WRITE_UNIT: Final = 0.625 / 1e6
READ_UNIT: Final = 0.125 / 1e6
# aws.amazon.com/s3/pricing: S3 Standard, the first 50 TB a month; a list costs as much as a put, a delete nothing
S3_PUT: Final = 5 / 1e6
S3_GET: Final = 0.4 / 1e6
S3_GB_MONTH: Final = 0.023
# aws.amazon.com/kms/pricing, aws.amazon.com/secrets-manager/pricing: calls
KMS_CALL: Final = 0.03 / 1e4
SECRETS_CALL: Final = 0.05 / 1e4
# aws.amazon.com/ec2/pricing/on-demand, "Data transfer": to the internet, the first 10 TB a month
GB_OUT: Final = 0.09
# aws.amazon.com/cloudwatch/pricing: ingested logs; a metric, charged for every hour in which it is sent
LOG_GB: Final = 0.50
METRIC_HOUR: Final = 0.30 / MONTH_HOURS

# The prices of the operations that a function may call, by the part of the report that they belong to. DynamoDB is not
# here, because it charges for units, and STS is not, because it is free.
CALLS: Final[Mapping[str, Mapping[str, float]]] = {
    "s3": {
        "AbortMultipartUpload": 0.0,
        "CompleteMultipartUpload": S3_PUT,
        "CopyObject": S3_PUT,
        "CreateMultipartUpload": S3_PUT,
        "DeleteObject": 0.0,
        "DeleteObjects": 0.0,
        "GetObject": S3_GET,
        "HeadObject": S3_GET,
        "ListMultipartUploads": S3_PUT,
        "ListObjectsV2": S3_PUT,
        "ListParts": S3_PUT,
        "PutObject": S3_PUT,
        "PutObjectLegalHold": S3_PUT,
        "PutObjectRetention": S3_PUT,
        "UploadPart": S3_PUT,
        "UploadPartCopy": S3_PUT,
    },
    "keys": {"Decrypt": KMS_CALL, "GetSecretValue": SECRETS_CALL},
    "orders": {"Invoke": LAMBDA_REQUEST},  # the request alone: how long a worker runs for it is not known here
}
