"""The running service that the clients are pointed at."""

from collections.abc import Iterator

import pytest

from tests.local.service import Service, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started
