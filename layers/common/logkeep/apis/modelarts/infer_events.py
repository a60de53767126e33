"""Events of a service as ModelArts v2 shows them: ListInferServiceEvents (docs/apis.md#modelarts)."""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from logkeep.apis.modelarts.events import ServiceEvents, is_forward
from logkeep.events.segments import EVERY_TYPE, TIME_MAX
from logkeep.events.timeline import Selection, StoredEvent, read_page, search_page
from logkeep.params import Decimal, NotSeconds

FORBIDDEN: Final = frozenset("'\";%_*!@#$&\\")  # in event_info_key, according to the published table

_SEARCHABLE: Final = f"^[^{re.escape(''.join(sorted(FORBIDDEN)))}]*$"

type Digits13 = Annotated[Decimal, NotSeconds, Field(ge=10**12, lt=10**13)]  # epoch ms


def _is_searchable(keyword: str) -> str:
    if not FORBIDDEN.isdisjoint(keyword):
        raise ValueError(f"must not contain any of {''.join(sorted(FORBIDDEN))}")
    return keyword


def _is_page(offset: int, info: ValidationInfo) -> int:
    if offset % info.data.get("limit", 1):
        raise ValueError("must be a multiple of limit")
    return offset


class InferEventQuery(BaseModel):
    """The query. `offset` is a number of events; both times are inclusive.

    An event happens once, so both sort keys mean its time. The keyword's maximum length is the one published for
    ListTrainingJobEvents.
    """

    model_config = ConfigDict(frozen=True)

    event_type: Literal["NORMAL", "ABNORMAL", "WARNING"] | None = None
    start_time: Digits13 | None = None
    end_time: Annotated[Digits13 | None, AfterValidator(is_forward)] = None
    event_info_key: Annotated[
        str, Field(max_length=256, json_schema_extra={"pattern": _SEARCHABLE}), AfterValidator(_is_searchable)
    ] = ""
    limit: Annotated[Decimal, Field(ge=1, le=500)] = 10
    offset: Annotated[Decimal, Field(ge=0, le=10**12), AfterValidator(_is_page)] = 0
    sort_key: Literal["update_at", "create_at", "create_at,update_at", "update_at,create_at"] = "update_at"
    sort_dir: Literal["ASC", "DESC"] = "DESC"

    @property
    def selection(self) -> Selection:
        wanted = self.event_type
        return Selection(
            # WARNING selects nothing, because no event has that type.
            types=tuple(kind for kind in EVERY_TYPE if wanted is None or kind.upper() == wanted),
            start=self.start_time or 0,
            end=self.end_time or TIME_MAX,
            skip=self.offset,
            limit=self.limit,
            descending=self.sort_dir == "DESC",
        )


class InferEvent(BaseModel):
    """The published ServiceEventResponse. `id` is unique in its service and never changes."""

    id: str
    service_id: str
    service_version_id: None = None
    event_count: Literal[1] = 1
    event_type: str
    event_info: str
    event_info_cn: None = None
    create_at: int
    update_at: int


class InferEventPage(BaseModel):
    """The published ListInferServiceEventsResponse.

    `current` is the number of the page, counted from 0. The SDK does not say so here, but it does for the same field of
    similar methods (ListInferServices, ListInferDeployments, …). `pages` is how many pages there are.
    """

    current: int
    pages: int
    size: int
    total: int
    data: list[InferEvent]

    @classmethod
    def of(cls, service: str, query: InferEventQuery, total: int, rows: Iterable[StoredEvent]) -> Self:
        return cls(
            current=query.offset // query.limit,
            pages=-(-total // query.limit),
            size=query.limit,
            total=total,
            data=[
                InferEvent(
                    id=f"{row.segment}-{row.place}",
                    service_id=service,
                    event_type=row.type.upper(),
                    event_info=row.info,
                    create_at=row.occur_time,
                    update_at=row.occur_time,
                )
                for row in rows
            ],
        )


def infer_page_of(service: ServiceEvents, query: InferEventQuery) -> InferEventPage:
    """A page of events. Raises ServiceNotFound, or Invalid for a keyword if the range is too long to search."""
    service.name()  # raises ServiceNotFound
    keyword = query.event_info_key
    found = search_page(service, query.selection, keyword) if keyword else read_page(service, query.selection)
    return InferEventPage.of(service.service, query, *found)
