"""Heads and rows as items of table Logs, and back (docs/formats.md#table-logs).

A head is at pk={project}/{owner}, sk=head/{rest of the id}; of kind app, at pk={project}/{log_id}, sk=head. Its rows
are at pk={project}/{log_id}@{birth}, sk=frag/{offset:016d}, each with the packed bytes (`data`) or their place in the
bucket (`key`, `start`).
"""

from collections import Counter
from typing import Any

from logkeep.errors import WrongFormat
from logkeep.extents import ObjectRange
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.levels import ScanState
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration


def sort_key(offset: int) -> str:
    """The sk of the row that begins at `offset`."""
    return f"frag/{offset:016d}"


def head_key(project: str, log_id: LogId) -> dict[str, str]:
    return {"pk": f"{project}/{log_id.owner}", "sk": "head" if log_id.kind == "app" else f"head/{log_id.rest}"}


def rows_key(project: str, head: Head) -> str:
    """The pk of a log's rows."""
    return f"{project}/{head.log_id}@{head.birth}"


def head_item(project: str, head: Head) -> dict[str, Any]:
    return {
        **head_key(project, head.log_id),
        "project": project,
        "log_id": str(head.log_id),
        "birth": head.birth,
        "end": head.end,
        **_shared_item(head, head.scan_state),
        "fragments": head.fragments,
        "generation": head.generation,
        "version": head.version,
        "state": head.state.value,
        "expected": head.expected.stored() if head.expected else None,
        "registration": list(head.registration) if head.registration else None,
        "followed_until": head.followed_until,
        "time_zone": head.time_zone,
        "labels": dict(head.labels) or None,
        "day": head.day,
        "odd": list(head.odd) if head.odd else None,
    }


def head_of(item: dict[str, Any]) -> Head:
    """Raises WrongFormat for an item of an earlier version."""
    _check(item, "birth")
    expected = item.get("expected")
    return Head(
        log_id=LogId.parse(item["log_id"]),
        birth=item["birth"],
        end=item["end"],
        scan_state=_scan_state_of(item),
        **_shared(item),
        fragments=item["fragments"],
        generation=item["generation"],
        version=item["version"],
        state=State(item["state"]),
        expected=None if expected is None else Totals.of_stored(expected),
        registration=Registration(*item["registration"]) if "registration" in item else None,
        followed_until=item.get("followed_until"),
        time_zone=item.get("time_zone"),
        labels=item.get("labels", {}),
        day=item.get("day"),
        odd=(item["odd"][0], item["odd"][1]) if "odd" in item else None,
    )


def row_item(project: str, head: Head, each: Fragment) -> dict[str, Any]:
    return {
        "pk": rows_key(project, head),
        "sk": sort_key(each.offset),
        "offset": each.offset,
        "raw": each.raw,
        **_shared_item(each, each.before),
        "ends_line": each.ends_line,
        "line": each.line,
        "newest_time": each.newest_time,
    }


def row_of(item: dict[str, Any]) -> Row:
    """Raises WrongFormat for an item of an earlier version."""
    _check(item, "grammar")
    each = Fragment(
        offset=item["offset"],
        raw=item["raw"],
        before=_scan_state_of(item),
        ends_line=item["ends_line"],
        line=item["line"],
        newest_time=item.get("newest_time"),
        **_shared(item),
    )
    return Row(each, item["data"] if "data" in item else ObjectRange(item["key"], item["start"], each.packed))


def _check(item: dict[str, Any], attribute: str) -> None:
    if attribute not in item:
        raise WrongFormat("the log was written by an earlier version of Logkeep; deploy a new stack, or that version")


def _shared_item(of: Head | Fragment, state: ScanState) -> dict[str, Any]:
    """The attributes that a head has for the whole log, and a row for its fragment."""
    return {
        "packed": of.packed,
        "crc32": of.crc32,
        "packed_crc32": of.packed_crc32,
        "lines": of.lines,
        "levels": dict(of.levels),
        "level": state.level,
        "open_line": state.open_line or None,
        "partial": state.partial or None,
        "first_time": of.first_time,
        "last_time": of.last_time,
        "least_time": of.least_time,
        "greatest_time": of.greatest_time,
        "grammar": of.grammar,
        "received_at": of.received_at,
    }


def _shared(item: dict[str, Any]) -> dict[str, Any]:
    """The fields that Head and Fragment share, except for the scan state."""
    return {
        "packed": item["packed"],
        "crc32": item["crc32"],
        "packed_crc32": item["packed_crc32"],
        "lines": item["lines"],
        "levels": Counter(item["levels"]),
        "first_time": item.get("first_time"),
        "last_time": item.get("last_time"),
        "least_time": item.get("least_time"),
        "greatest_time": item.get("greatest_time"),
        "grammar": item["grammar"],
        "received_at": item.get("received_at"),
    }


def _scan_state_of(item: dict[str, Any]) -> ScanState:
    return ScanState(item.get("level"), item.get("open_line", b""), item.get("partial", 0))
