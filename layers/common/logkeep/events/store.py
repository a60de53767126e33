"""Events in DynamoDB: segments are written together with the cards that count them.

Table Events has one partition per service, pk={project}/{service}: the service itself at sk=service, segments at
seg/{type}/{yyyymmddhhmm}/{id}, cards at hour/{yyyymmddhh}/{shard} and day/{yyyymmdd}/{shard} with a number per slot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, decode, encode, query, transact, update
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy, Invalid, ServiceNotFound
from logkeep.events.segments import (
    EventBatch,
    EventType,
    PackedSegment,
    Segment,
    day_key,
    hour_key,
    minute_key,
    pack_segments,
    slots_of,
    unpack_segment,
)
from logkeep.events.timeline import Card, StoredSegment
from logkeep.logid import is_segment
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SHARDS: Final = 4
FUTURE_MAX: Final = 366 * DAY  # how far ahead events may be dated: a page lists days, so their number needs a bound
COLLECTED_AFTER: Final = 3 * DAY  # from when a day has left every answer until TTL may delete its items
_TRANSACTION_ITEMS: Final = 95
_ITEM_BYTES: Final = 200  # of a segment's item without its rows
_DAY_SLOTS: Final = 24
_HOUR_SLOTS: Final = 60


class Written(BaseModel):
    """How many events of a request are new, and how many an earlier try had stored."""

    accepted: int
    duplicates: int


class EventStore:
    """The events of one project's service."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, retention_days: int, project: str, service: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._retention = retention_days * DAY
        self.service = service
        self._pk = f"{project}/{service}"

    def put(self, batch: EventBatch, salt: str, admit: Callable[[float], None] = lambda _: None) -> Written:
        """Store a batch. If it is put again with the same salt, nothing is stored twice.

        Before the first write `admit` is called with about how many write units all of them take, and may raise.

        Raises Invalid for events older than the retention or more than a year ahead, and Busy. After Busy a part of the
        batch may be stored.
        """
        now = now_ms()
        for index, event in enumerate(batch.events):
            if self._expires_at(event.occur_time // DAY) <= now:
                raise Invalid(f"events.{index}.occur_time", "older than the retention of events")
            if event.occur_time > now + FUTURE_MAX:
                raise Invalid(f"events.{index}.occur_time", "more than a year ahead")
        groups = list(_transactions(pack_segments(batch.events, salt)))
        admit(_write_units(groups))
        self._register(batch.service_name)
        written = Counter[bool]()
        for group in groups:
            new = self._write(group, now)
            written[True] += sum(each.count for each in new)
            written[False] += sum(each.count for each in group) - sum(each.count for each in new)
        return Written(accepted=written[True], duplicates=written[False])

    def name(self) -> str:
        """The service's name. Raises ServiceNotFound for a service that was never registered."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key=encode({"pk": self._pk, "sk": "service"}), ConsistentRead=True
        ).get("Item")
        if item is None:
            raise ServiceNotFound(self.service)
        return str(decode(item)["service_name"])

    # Writing

    def _register(self, name: str | None) -> None:
        """Store the service's name. Without one, a new service is named by its id."""
        update(
            self._dynamodb,
            TableName=self._table,
            Key=encode({"pk": self._pk, "sk": "service"}),
            UpdateExpression="SET service_name = " + (":name" if name else "if_not_exists(service_name, :name)"),
            ExpressionAttributeValues=encode({":name": name or self.service}),
        )

    def _write(self, segments: Sequence[Segment], now: int) -> Sequence[Segment]:
        """Write the segments that are not stored yet, count them, and return them."""
        for _ in attempts():
            if not segments:
                return segments
            puts: list[TransactWriteItemTypeDef] = [{"Put": self._put(each, now)} for each in segments]
            # The puts come first, so an index among the refused items is that of a segment.
            refused = transact(self._dynamodb, [*puts, *self._counts(segments)]).refused
            if not refused:
                return segments
            segments = [each for index, each in enumerate(segments) if index not in refused]
        raise Busy("other writers put the same events", retry_after=1)

    def _put(self, segment: Segment, now: int) -> Any:
        item = {
            "pk": self._pk,
            "sk": f"seg/{segment.type}/{minute_key(segment.minute)}/{segment.id}",
            "received_at": now,
            "count": segment.count,
            "rows": segment.packed,
            "ttl": self._ttl(segment.minute // 1440),
        }
        return {
            "TableName": self._table,
            "Item": encode(item),
            "ConditionExpression": "attribute_not_exists(pk)",
        }

    def _counts(self, segments: Sequence[Segment]) -> Iterator[TransactWriteItemTypeDef]:
        cards: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for segment in segments:
            shard = int(segment.id, 16) % SHARDS
            for slot in slots_of(segment):
                cards[f"{slot.card}/{shard}", segment.minute // 1440][_attribute(slot.type, slot.index)] += (
                    segment.count
                )
        for (card, day), counts in cards.items():
            adds = ", ".join(f"{name} :{name}" for name in counts)
            values = {f":{name}": count for name, count in counts.items()}
            yield {
                "Update": {
                    "TableName": self._table,
                    "Key": encode({"pk": self._pk, "sk": card}),
                    "UpdateExpression": f"ADD {adds} SET #ttl = :ttl",
                    "ExpressionAttributeNames": {"#ttl": "ttl"},
                    "ExpressionAttributeValues": encode({**values, ":ttl": self._ttl(day)}),
                }
            }

    def _expires_at(self, day: int) -> int:
        """Epoch ms at which a day, counted from the epoch, leaves every answer."""
        return (day + 1) * DAY + self._retention

    def _ttl(self, day: int) -> int:
        return (self._expires_at(day) + COLLECTED_AFTER) // 1000

    # Reading: an EventReader

    def days(self, first: int, last: int) -> dict[int, Card]:
        cards: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for item in self._between(f"day/{day_key(first)}", f"day/{day_key(last)}/~"):
            start = datetime.strptime(item["sk"].split("/")[1], "%Y%m%d").replace(tzinfo=UTC)
            cards[int(start.timestamp()) * 1000 // DAY].append(item)
        now = now_ms()
        return {day: _card(shards, _DAY_SLOTS) for day, shards in cards.items() if self._expires_at(day) > now}

    def hour(self, hour: int) -> Card:
        return _card(list(self._between(f"hour/{hour_key(hour)}", f"hour/{hour_key(hour)}/~")), _HOUR_SLOTS)

    def segments(self, kind: EventType, first_minute: int, last_minute: int) -> Iterator[StoredSegment]:
        prefix = f"seg/{kind}/"
        for item in self._between(prefix + minute_key(first_minute), f"{prefix}{minute_key(last_minute)}/~"):
            yield StoredSegment(item["received_at"], item["sk"].rpartition("/")[2], unpack_segment(item["rows"]))

    def segments_after(self, kind: EventType, at: str) -> Iterator[PackedSegment]:
        prefix = f"seg/{kind}/"
        # "!" sorts before every character that may follow a minute, and after the end of an id.
        for item in self._between(f"{prefix}{at}!", f"{prefix}~"):
            yield PackedSegment(item["sk"].removeprefix(prefix), kind, item["received_at"], item["rows"])

    def first_kept(self, now: int) -> str:
        """The first minute of the first day that has not expired, as in a sort key; `now` in epoch milliseconds."""
        return minute_key(max(0, now - self._retention) // DAY * 1440)

    def _between(self, low: str, high: str) -> Iterator[dict[str, Any]]:
        return query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues=encode({":pk": self._pk, ":low": low, ":high": high}),
        )


def event_store(project: str, service: str) -> EventStore:
    """The events of a service. Raises ServiceNotFound for an id that no service can have."""
    if not is_segment(service):
        raise ServiceNotFound(service)
    env = settings()
    return EventStore(clients.dynamodb(), env.events_table, env.event_retention_days, project, service)


def _attribute(kind: EventType, index: int) -> str:
    """The attribute of a slot, such as `n07`. Short, because a card has up to 120 and is rewritten by each request."""
    return f"{kind[0]}{index:02d}"


def _card(shards: Sequence[dict[str, Any]], slots: int) -> Card:
    return {
        kind: [sum(shard.get(_attribute(kind, index), 0) for shard in shards) for index in range(slots)]
        for kind in EventType
    }


def _write_units(groups: Iterable[Sequence[Segment]]) -> int:
    """About what writing the groups takes: two units for each KB of a segment, and as many for each small card."""
    cards = sum(len(_cards(group)) for group in groups)
    return 1 + 2 * cards + sum(2 * (1 + (len(each.packed) + _ITEM_BYTES) // 1024) for group in groups for each in group)


def _cards(group: Iterable[Segment]) -> set[tuple[str, int]]:
    """The cards, by sort key and shard, that count the segments of a group."""
    return {(slot.card, int(each.id, 16) % SHARDS) for each in group for slot in slots_of(each)}


def _transactions(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Groups of segments that each fit into one transaction, together with their cards."""
    group: list[Segment] = []
    cards: set[tuple[str, int]] = set()
    for segment in segments:
        touched = _cards([segment])
        if len(group) + 1 + len(cards | touched) > _TRANSACTION_ITEMS:
            yield group
            group, cards = [], set()
        group.append(segment)
        cards |= touched
    if group:
        yield group
