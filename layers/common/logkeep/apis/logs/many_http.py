"""Requests and answers about the deletion of many logs (docs/retention.md)."""

import time
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from logkeep.errors import NotFound, Unavailable
from logkeep.logid import LOG_ID_MAX
from logkeep.logs.labels import PAIR
from logkeep.logs.many import Order, State
from logkeep.logs.many_store import orders_of
from logkeep.logs.orders import DeleteOrder, order_deletions
from logkeep.logs.retention import why_no_prefix
from logkeep.web.app import Answer, App
from logkeep.web.parsing import Nothing

_SECONDS: Final = 15.0  # for which a request counts itself
_TOKEN: Final = r"^[0-9a-f]{32}$"  # noqa: S105 - a pattern
_LABELS_MAX: Final = 20


class OrderRequest(BaseModel):
    """Which logs to count: below a prefix of whole segments, of a kind, with all of these labels; or what to delete.

    `token` is that of a count, and stands alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[str, Field(max_length=LOG_ID_MAX)] | None = None
    kind: Literal["task", "build", "check", "cluster", "app"] | None = None
    labels: list[Annotated[str, Field(pattern=PAIR)]] = Field(default=[], max_length=_LABELS_MAX)
    token: Annotated[str, Field(pattern=_TOKEN)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        selects = self.prefix is not None or self.kind is not None or bool(self.labels)
        if selects == (self.token is not None):
            raise ValueError("must have a prefix, a kind or labels to count logs by, or else the token of a count")
        if self.prefix is not None and (why := why_no_prefix(self.prefix)):
            raise ValueError(f"prefix: {why}")
        return self


class ShownOrder(BaseModel):
    """A count of logs, or the deletion of those that were counted. Sizes are in bytes of text."""

    model_config = ConfigDict(frozen=True)

    token: str
    state: State
    counted_at: int  # epoch milliseconds: logs that began later are not among them
    logs: int  # that were counted, without those that are held
    bytes: int
    held: int
    deleted: int
    deleted_bytes: int

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls(
            token=order.token,
            state=order.state,
            counted_at=order.at,
            logs=order.logs,
            bytes=order.bytes,
            held=order.held,
            deleted=order.deleted,
            deleted_bytes=order.deleted_bytes,
        )


def count_or_order(app: App) -> Answer[ShownOrder]:
    """Raises NotFound for an unknown token, and Conflict for a count that is not finished, or older than a day."""
    app.query(Nothing)
    request, project = app.json_body(OrderRequest), app.caller.project
    orders, order_of_worker = orders_of(project), False
    if request.token is not None:
        order = orders.begin(request.token)
        order_of_worker = order.state is State.DELETING
    else:
        pairs = [(key, value) for key, _, value in (each.partition("=") for each in request.labels)]
        order = orders.plan(app.caller.credential, request.prefix or "", request.kind, pairs)
        order = orders.advance(order, time.monotonic() + _SECONDS)
        order_of_worker = order.state is State.COUNTING
    if order_of_worker:
        with suppress(Unavailable):  # the same request, or another count, orders a worker again
            order_deletions(DeleteOrder(project=project, token=order.token))
        return app.answer_json(ShownOrder.of(order), HTTPStatus.ACCEPTED)
    return app.answer_json(ShownOrder.of(order))


def show_order(app: App, token: str) -> Answer[ShownOrder]:
    """Raises NotFound."""
    app.query(Nothing)
    if not (token.isascii() and token.isalnum()):
        raise NotFound(f"no order {token[:40]}")
    return app.answer_json(ShownOrder.of(orders_of(app.caller.project).find(token)))
