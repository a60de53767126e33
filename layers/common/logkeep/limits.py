"""Limits on sizes, in bytes unless noted, each defined once."""

from typing import Final

# Requests and answers.
ANSWER_MAX: Final = 4 << 20  # an answer as sent: base64 makes it 5.6 MB, and Lambda allows 6 MB
STREAM_MAX: Final = 200_000_000  # a streamed answer with its headers: Lambda's 200 MB, read as decimal
JSON_BODY_MAX: Final = 16 * 1024  # the body of a request that carries settings or options, not data
APPEND_MAX: Final = 4 << 20  # an append as sent
APPEND_RAW_MAX: Final = 32 << 20  # an append after inflating
PAGE_MAX: Final = 1_000_000  # a page of lines or log records
SUB_JOBS_MAX: Final = 100  # a count: sub-jobs of one request, and of one execution

# Storage.
LOG_MAX: Final = 10**15  # a log: keys hold offsets of 16 digits
FRAGMENT_MAX: Final = 1 << 20  # the raw text of a fragment
# The packed bytes of an append that are inline in its rows; larger ones go to S3. A transactional write costs 2 write
# units per KB, an S3 PUT as much as 8 write units (docs/decisions.md).
INLINE_MAX: Final = 4096
