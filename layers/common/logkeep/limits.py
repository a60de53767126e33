"""Sizes that several rooms keep to, in bytes, each named once."""

from typing import Final

ANSWER_MAX: Final = 4 << 20  # of an answer as sent: base64 makes it 5.6 MB, and Lambda allows 6 MB
STREAM_MAX: Final = 200_000_000  # that a streaming function sends, headers included: Lambda's limit, read as decimal
JSON_BODY_MAX: Final = 16 * 1024  # of a request that carries settings or options, not data
APPEND_MAX: Final = 4 << 20  # of an append as sent
APPEND_RAW_MAX: Final = 32 << 20  # of an append after inflating
PAGE_MAX: Final = 1_000_000  # of a page of lines or records
LOG_MAX: Final = 10**15  # of a log: keys hold offsets of 16 digits
FRAGMENT_MAX: Final = 1 << 20  # of a fragment's text
# Packed bytes of one append that are kept in the table's rows; more go to S3. A transactional write costs 2 write units
# per KB, an S3 PUT as much as 8 write units (docs/decisions.md).
INLINE_MAX: Final = 4096
SUB_JOBS_MAX: Final = 100  # sub-jobs of one request, and of one execution
