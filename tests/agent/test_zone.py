"""The machine's time zone, as the agent finds it."""

from pathlib import Path

import pytest

from logkeep_agent.zone import machine_time_zone

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "zone"),
    [("Asia/Shanghai", "Asia/Shanghai"), (":Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("CET-1CEST", None),
     ("/etc/localtime", None)],
)  # fmt: skip
def test_tz_is_believed_before_the_files(root: Path, value: str, zone: str | None) -> None:
    (root / "etc" / "timezone").write_text("America/Lima\n")
    assert machine_time_zone({"TZ": value}, root) == zone


def test_the_link_to_a_zone_names_it(root: Path) -> None:
    (root / "etc" / "timezone").write_text("America/Lima\n")
    (root / "etc" / "localtime").symlink_to("../usr/share/zoneinfo/Asia/Shanghai")
    assert machine_time_zone({}, root) == "Asia/Shanghai"


def test_a_machine_may_name_its_zone_in_a_file_or_not_at_all(root: Path) -> None:
    assert machine_time_zone({}, root) is None
    (root / "etc" / "localtime").write_bytes(b"TZif2")
    assert machine_time_zone({}, root) is None
    (root / "etc" / "timezone").write_text("America/Lima\n")
    assert machine_time_zone({}, root) == "America/Lima"
    (root / "etc" / "timezone").write_text("local time\n")
    assert machine_time_zone({}, root) is None
