"""Heads and fragments as items of table Logs, and back.

A head lies at pk={project}/{kind}/{first id}, sk=head/{rest}; its fragments at pk={project}/{log_id},
sk=frag/{offset:016d}, each with its packed bytes (data) or where they are (key, start).
"""

from collections import Counter
from typing import Any

from logkeep.extents import ObjectRange
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.levels import Cursor
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration


def sort_key(offset: int) -> str:
    return f"frag/{offset:016d}"


def head_key(project: str, log_id: LogId) -> dict[str, str]:
    return {"pk": f"{project}/{log_id.owner}", "sk": f"head/{log_id.rest}"}


def head_item(project: str, head: Head) -> dict[str, Any]:
    return {
        **head_key(project, head.log_id),
        "project": project,
        "log_id": str(head.log_id),
        "end": head.end,
        **_shared_item(head, head.cursor),
        "fragments": head.fragments,
        "generation": head.generation,
        "version": head.version,
        "state": head.state.value,
        "expected": head.expected.stored() if head.expected else None,
        "registration": list(head.registration) if head.registration else None,
        "followed_until": head.followed_until,
    }


def head_of(item: dict[str, Any]) -> Head:
    expected = item.get("expected")
    return Head(
        log_id=LogId.parse(item["log_id"]),
        end=item["end"],
        cursor=_cursor_of(item),
        **_shared(item),
        fragments=item["fragments"],
        generation=item["generation"],
        version=item["version"],
        state=State(item["state"]),
        expected=None if expected is None else Totals.of_stored(expected),
        registration=Registration(*item["registration"]) if "registration" in item else None,
        followed_until=item.get("followed_until"),
    )


def row_item(project: str, log_id: LogId, each: Fragment) -> dict[str, Any]:
    return {
        "pk": f"{project}/{log_id}",
        "sk": sort_key(each.offset),
        "offset": each.offset,
        "raw": each.raw,
        **_shared_item(each, each.before),
        "ends_line": each.ends_line,
    }


def row_of(item: dict[str, Any]) -> Row:
    each = Fragment(
        offset=item["offset"],
        raw=item["raw"],
        before=_cursor_of(item),
        ends_line=item["ends_line"],
        **_shared(item),
    )
    return Row(each, item["data"] if "data" in item else ObjectRange(item["key"], item["start"], each.packed))


def _shared_item(of: Head | Fragment, cursor: Cursor) -> dict[str, Any]:
    """What a head says of the whole log and a row of its fragment."""
    return {
        "packed": of.packed,
        "crc32": of.crc32,
        "packed_crc32": of.packed_crc32,
        "lines": of.lines,
        "levels": dict(of.levels),
        "level": cursor.level,
        "open_line": cursor.open_line or None,
        "first_time": of.first_time,
        "last_time": of.last_time,
    }


def _shared(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "packed": item["packed"],
        "crc32": item["crc32"],
        "packed_crc32": item["packed_crc32"],
        "lines": item["lines"],
        "levels": Counter(item["levels"]),
        "first_time": item.get("first_time"),
        "last_time": item.get("last_time"),
    }


def _cursor_of(item: dict[str, Any]) -> Cursor:
    return Cursor(item.get("level"), item.get("open_line", b""))
