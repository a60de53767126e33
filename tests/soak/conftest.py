"""The functions that the soak calls itself write no lines."""

from collections.abc import Iterator

import pytest

from logkeep.web.app import logger


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logger.setLevel("ERROR")
    yield
    logger.setLevel("INFO")
