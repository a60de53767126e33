"""Events of a service as ModelArts v1 shows them: ShowServiceEvents (docs/apis.md#modelarts)."""

from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from logkeep.events.segments import EVERY_TYPE, TIME_MAX, Event, EventType
from logkeep.events.timeline import EventReader, Selection, read_page
from logkeep.params import Decimal, NotSeconds

type EpochMs = Annotated[Decimal, Field(ge=0, le=TIME_MAX), NotSeconds]


def is_forward(end: int | None, info: ValidationInfo) -> int | None:
    """Validate the end_time of a query: it must not lie before its start_time."""
    start = info.data.get("start_time")
    if start is not None and end is not None and start > end:
        raise ValueError("is before start_time")
    return end


class EventQuery(BaseModel):
    """The query. `offset` is the number of the page, counted from 0; both times are inclusive."""

    model_config = ConfigDict(frozen=True)

    event_type: EventType | None = None
    start_time: EpochMs | None = None
    end_time: Annotated[EpochMs | None, AfterValidator(is_forward)] = None
    offset: Annotated[Decimal, Field(ge=0, le=10**9)] = 0
    limit: Annotated[Decimal, Field(ge=1, le=1000)] = 1000
    sort_by: Literal["occur_time", "event_type"] = "occur_time"
    order: Literal["asc", "desc"] = "desc"

    @property
    def selection(self) -> Selection:
        return Selection(
            types=EVERY_TYPE if self.event_type is None else (self.event_type,),
            start=self.start_time or 0,
            end=TIME_MAX if self.end_time is None else self.end_time,
            skip=self.offset * self.limit,
            limit=self.limit,
            descending=self.order == "desc",
        )


class EventPage(BaseModel):
    """The published answer. `total_count` counts all events that match, `count` those of the page."""

    service_id: str
    service_name: str
    count: int
    total_count: int
    events: list[Event]


class ServiceEvents(EventReader, Protocol):
    """What a page needs from the store of a service's events."""

    service: str

    def name(self) -> str:
        """The service's name. Raises ServiceNotFound if it was never registered."""
        ...


def page_of(service: ServiceEvents, query: EventQuery) -> EventPage:
    """A page of events. Raises ServiceNotFound if the service was never registered."""
    name = service.name()
    total, rows = read_page(service, query.selection, by_type=query.sort_by == "event_type")
    return EventPage(
        service_id=service.service,
        service_name=name,
        count=len(rows),
        total_count=total,
        events=[
            Event.model_construct(occur_time=row.occur_time, event_type=row.type, event_info=row.info) for row in rows
        ],
    )
