"""What a month of some use costs by list prices, line by line, beside CloudWatch Logs for the same."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from admin import counts, prices
from admin.idle import idle
from local.template import Template

_MEMORY_GB: Final = 0.5
_WORKER_GB: Final = 1769 / 1024
_LOG_KEPT: Final = 0.15  # of text, which is what CloudWatch Logs bills as stored after its compression
_FULL_EVERY: Final = 7
_SIZES: Final = {"": 1, "K": 1000, "M": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Of a month."""

    gb: float = 0.0  # of text that is appended
    append: int = 64_000  # bytes of an append
    months: float = 1.0  # of text that are kept
    readers: float = 0.0  # how often each byte is read, as files
    log: int = 10_000_000  # bytes of a log, for the number of reads
    followers: float = 0.0  # all the time
    events: float = 0.0
    batch: int = 50  # events of a request
    backups: float = 0.0  # a day, of everything


def estimate(use: Use, template: Template) -> dict[str, float]:
    """Dollars by line."""
    one = appended(use.append)
    appends = use.gb * prices.GB / use.append
    posts = use.events / use.batch
    reads = use.gb * use.readers * prices.GB / use.log
    per_read = use.log / use.append
    requests = appends + posts + reads
    minutes = use.followers * 60 * prices.MONTH_HOURS
    packed = use.gb * one.packed / one.raw
    inline = packed if one.puts == 0 else 0.0
    ms = counts.CALL_MS
    append_ms = (
        counts.REQUEST_MS + ms["GetItem"] + ms["TransactWriteItems"] + one.puts * ms["PutObject"]
        + counts.MS_PER_MB * use.append / 1e6
    )  # fmt: skip
    post_ms = counts.REQUEST_MS + ms["TransactWriteItems"] + ms["UpdateItem"]
    read_ms = counts.REQUEST_MS + ms["GetItem"] + (ms["GetObject"] if one.puts else 0) * min(per_read, 20)
    fulls = use.backups * prices.MONTH_HOURS / 24 / _FULL_EVERY
    copied = use.gb * (1 + fulls * use.months) if use.backups else 0.0
    archives = copied * one.packed / one.raw
    rows = appends * 300 / prices.GB  # bytes of a row and its keys beside the text
    seconds = (appends * append_ms + posts * post_ms + reads * read_ms) / 1000 * _MEMORY_GB
    return {
        "idle": sum(idle(template).values()),
        "API requests": appends * max(1, -(-use.append // prices.API_STEP)) * prices.API_REQUEST
        + (posts + reads) * prices.API_REQUEST,
        "Lambda requests": requests * prices.LAMBDA_REQUEST,
        "Lambda duration": seconds * prices.LAMBDA_GB_SECOND,
        "DynamoDB writes": (appends * one.write_units + posts * event_units(use.batch)) * prices.WRITE_UNIT,
        "DynamoDB: packing": appends * (counts.PACKED + counts.CLEANED / (1 + one.puts)) * prices.WRITE_UNIT,
        "DynamoDB reads": (appends * one.read_units + reads * (1 + per_read * 0.2)) * prices.READ_UNIT,
        "S3 requests": appends * one.puts * prices.S3_PUT + reads * per_read * one.puts * prices.S3_GET,
        "followers: Lambda": minutes * 60 * _MEMORY_GB * prices.LAMBDA_GB_SECOND,
        "followers: reads": minutes * counts.FOLLOWED_READ_UNITS * prices.READ_UNIT,
        "backups": copied * counts.BACKUP_REQUESTS_GB * prices.S3_PUT
        + copied * counts.BACKUP_CPU_SECONDS_GB * _WORKER_GB * prices.LAMBDA_GB_SECOND
        + archives * prices.S3_GB_MONTH,
        "storage: S3": (packed - inline) * use.months * prices.S3_GB_MONTH,
        "storage: tables": (inline + rows + use.events * counts.EVENTS_STORED / prices.GB)
        * use.months
        * (prices.TABLE_GB_MONTH + prices.PITR_GB_MONTH),
        "log lines": requests * (counts.LINE + counts.ACCESS_LINE) / prices.GB * prices.LOG_GB,
        "transfer": packed * use.readers * prices.GB_OUT,
    }


def cloudwatch(use: Use) -> dict[str, float]:
    """Dollars by line for the same text in CloudWatch Logs, where a read is a query of Logs Insights."""
    text = use.gb + use.events * 100 / prices.GB
    return {
        "ingestion": text * prices.LOG_GB,
        "storage": text * _LOG_KEPT * use.months * prices.LOG_GB_MONTH,
        "queries": use.gb * use.readers * prices.LOG_QUERY_GB,
        "live tail": use.followers * 60 * prices.MONTH_HOURS * prices.LIVE_TAIL_MINUTE,
        "transfer": use.gb * use.readers * prices.GB_OUT,
    }


def appended(size: int) -> counts.Append:
    """What an append of so many bytes uses: between two measured sizes in proportion, as units of the larger one."""
    points = sorted(counts.APPENDS.values(), key=lambda each: each.raw)
    larger = next((each for each in points if each.raw >= size), None)
    if larger is None:
        last = points[-1]
        times = -(-size // last.raw)
        return counts.Append(
            size, round(size * last.packed / last.raw), last.write_units * times, last.read_units, last.puts * times
        )
    packed = max(1, round(size * larger.packed / larger.raw))
    return counts.Append(size, packed, larger.write_units, larger.read_units, larger.puts)


def event_units(batch: int) -> float:
    ((measured, units),) = counts.EVENTS.items()
    return units * max(1.0, batch / measured)


def size(text: str) -> int:
    if not (found := re.fullmatch(r"(\d+)([KM]?)", text)) or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 900, 64K or 2M")
    return int(found[1]) * _SIZES[found[2]]


def amount(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return float(text)


def main() -> None:
    parser = argparse.ArgumentParser("make estimate ARGS=", description=__doc__)
    parser.add_argument("--gb", type=amount, default=10.0, help="of text a month (default: 10)")
    parser.add_argument("--append", type=size, default=64_000, help="bytes of an append (default: 64K)")
    parser.add_argument("--months", type=amount, default=1.0, help="months for which text is kept (default: 1)")
    parser.add_argument("--readers", type=amount, default=0.0, help="how often each log is read (default: 0)")
    parser.add_argument("--log", type=size, default=10_000_000, help="bytes of a log (default: 10M)")
    parser.add_argument("--followers", type=amount, default=0.0, help="logs followed all the time (default: 0)")
    parser.add_argument("--events", type=amount, default=0.0, help="service events a month (default: 0)")
    parser.add_argument("--batch", type=size, default=50, help="events of a request (default: 50)")
    parser.add_argument("--backups", type=amount, default=0.0, help="backups a day of everything (default: 0)")
    use = Use(**vars(parser.parse_args()))
    print("Dollars a month by list prices of us-east-1, without free tiers\n")
    _show("Logkeep", estimate(use, Template.load()))
    _show("CloudWatch Logs", cloudwatch(use))
    print("Durations are assumed; requests and units are measured (make bench)")


def _show(title: str, lines: Mapping[str, float]) -> None:
    print(title)
    for line, dollars in lines.items():
        if dollars:
            print(f"  {line:<20}{dollars:>10.2f}")
    print(f"  {'total':<20}{sum(lines.values()):>10.2f}\n")


if __name__ == "__main__":
    main()
