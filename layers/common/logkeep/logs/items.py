"""Heads and rows as items of table Logs, and back (docs/formats.md#table-logs).

A head is at pk={project}/{owner}, sk=head/{rest of the id}; of kind app, at pk={project}/{log_id}, sk=head. Its rows
are at pk={project}/{log_id}@{birth}, sk=frag/{offset:016d}, each with the packed bytes (`data`) or their place in the
bucket (`key`, `start`). Its packs are there, too, at sk=pack/{offset:016d}, and at table/{offset:016d} once more with
the table of their fragments.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Protocol

from logkeep.errors import WrongFormat
from logkeep.extents import ObjectRange
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.levels import ScanState
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration
from logkeep.logs.sums import Sums

# Kinds of items beside a log's head.
FRAGMENT: Final = "frag"
PACK: Final = "pack"
TABLE: Final = "table"


def sort_key(offset: int, kind: str = FRAGMENT) -> str:
    """The sk of the row, or of the item of another kind, that begins at `offset`."""
    return f"{kind}/{offset:016d}"


class Named(Protocol):
    """A log, or one that was deleted: an id may have had several births."""

    @property
    def log_id(self) -> LogId: ...
    @property
    def birth(self) -> str: ...


def head_key(project: str, log_id: LogId) -> dict[str, str]:
    return {"pk": f"{project}/{log_id.owner}", "sk": "head" if log_id.kind == "app" else f"head/{log_id.rest}"}


def rows_key(project: str, log: Named) -> str:
    """The pk of a log's rows."""
    return f"{project}/{log.log_id}@{log.birth}"


def objects_prefix(project: str, log: Named) -> str:
    """What the keys of a log's objects begin with."""
    return f"logs/{project}/{log.log_id}@{log.birth}/"


def head_item(project: str, head: Head) -> dict[str, Any]:
    return {
        **head_key(project, head.log_id),
        "project": project,
        "log_id": str(head.log_id),
        "birth": head.birth,
        "began": head.began,
        "arrived": head.arrived,
        "written_at": head.written_at,
        "retention": head.retention,
        "hold": head.hold or None,
        "end": head.end,
        **_shared_item(head, head.scan_state),
        "fragments": head.fragments,
        "mark": head.mark._asdict() if head.mark.raw else None,
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
    _check(item, "birth", "began", "grammar")
    expected = item.get("expected")
    return Head(
        log_id=LogId.parse(item["log_id"]),
        birth=item["birth"],
        began=item["began"],
        arrived=item.get("arrived"),
        written_at=item.get("written_at"),
        retention=item.get("retention"),
        hold=item.get("hold", False),
        end=item["end"],
        scan_state=_scan_state_of(item),
        **_shared(item),
        fragments=item["fragments"],
        mark=Sums.of_stored(item["mark"]) if "mark" in item else Sums(),
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
        "line": each.line,
        **fragment_fields(each),
    }


def row_of(item: dict[str, Any]) -> Row:
    """Raises WrongFormat for an item of an earlier version."""
    _check(item, "grammar")
    each = fragment_of(item, item["offset"], item["line"])
    return Row(each, item["data"] if "data" in item else ObjectRange(item["key"], item["start"], each.packed))


def fragment_fields(each: Fragment) -> dict[str, Any]:
    """What is stored of a fragment, in its row or in the table of its pack, except for where it begins."""
    return {
        "raw": each.raw,
        **_shared_item(each, each.before),
        "ends_line": each.ends_line,
        "newest_time": each.newest_time,
    }


def fragment_of(fields: Mapping[str, Any], offset: int, line: int) -> Fragment:
    """The fragment with these fields, which begins at `offset` after `line` newlines."""
    return Fragment(
        offset=offset,
        line=line,
        raw=fields["raw"],
        before=_scan_state_of(fields),
        ends_line=fields["ends_line"],
        newest_time=fields.get("newest_time"),
        **_shared(fields),
    )


def _check(item: Mapping[str, Any], *attributes: str) -> None:
    if not item.keys() >= set(attributes):
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


def _shared(item: Mapping[str, Any]) -> dict[str, Any]:
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


def _scan_state_of(item: Mapping[str, Any]) -> ScanState:
    return ScanState(item.get("level"), item.get("open_line", b""), item.get("partial", 0))
