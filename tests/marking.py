"""ministack with two more requests: `POST /_ministack/mark` and `/_ministack/rewind`, as `python -m tests.marking`.

`?name=` tells several marks apart.
"""

import asyncio
import copy
from typing import Any, Final

from ministack import app

_marked: Final[dict[str, dict[str, Any]]] = {}  # by name of the mark and of a service's module
_handle_reset = app._handle_admin_reset


def _mark(name: str) -> None:
    states = {name: module.get_state() for name, module in app._loaded_modules.items() if hasattr(module, "get_state")}
    states["s3"] = {**states["s3"], "objects": {place: each["objects"] for place, each in _buckets().items()}}
    _marked[name] = copy.deepcopy(states)  # some of it is what the module goes on to change


def _rewind(name: str) -> None:
    app._reset_all_state()
    for module, state in copy.deepcopy(_marked[name]).items():
        app._loaded_modules[module].load_persisted_state(state)
    for place, objects in copy.deepcopy(_marked[name]["s3"]["objects"]).items():
        _buckets()[place]["objects"] = objects


def _buckets() -> dict[Any, dict[str, Any]]:
    """S3 keeps what is in them out of its state."""
    buckets: dict[Any, dict[str, Any]] = app._loaded_modules["s3"]._buckets._data
    return buckets


async def _handle(path: str, method: str, query: dict[str, list[str]]) -> Any:
    work = {"/_ministack/mark": _mark, "/_ministack/rewind": _rewind}.get(path)
    if work is None:
        return await _handle_reset(path, method, query)
    async with app._get_reset_lock():
        await asyncio.to_thread(work, *query.get("name", [""]))
    return 200, {"Content-Type": "application/json"}, b"{}"


if __name__ == "__main__":
    app._handle_admin_reset = _handle
    app.main()
