"""ministack with two more requests: `POST /_ministack/mark` and `/_ministack/rewind`, as `python -m tests.marking`."""

import asyncio
import copy
from typing import Any, Final

from ministack import app

_marked: Final[dict[str, Any]] = {}  # by the name of a service's module
_handle_reset = app._handle_admin_reset


def _mark() -> None:
    states = {name: module.get_state() for name, module in app._loaded_modules.items() if hasattr(module, "get_state")}
    _marked.clear()
    _marked.update(copy.deepcopy(states))  # some of it is what the module goes on to change


def _rewind() -> None:
    app._reset_all_state()
    for name, state in _marked.items():
        app._loaded_modules[name].load_persisted_state(copy.deepcopy(state))


async def _handle(path: str, method: str, query: dict[str, list[str]]) -> Any:
    work = {"/_ministack/mark": _mark, "/_ministack/rewind": _rewind}.get(path)
    if work is None:
        return await _handle_reset(path, method, query)
    async with app._get_reset_lock():
        await asyncio.to_thread(work)
    return 200, {"Content-Type": "application/json"}, b"{}"


if __name__ == "__main__":
    app._handle_admin_reset = _handle
    app.main()
