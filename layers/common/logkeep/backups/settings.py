"""Changes of the settings of a cluster's backups."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

SERVICES_MAX: Final = 10  # services whose events are backed up with a cluster
CHAIN_MAX: Final = 100  # backups in a chain: to show, hold or restore one, every record down to the full one is read


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """New values of settings, named as in Cluster; None leaves a setting unchanged."""

    agency: str | None = None
    base_path: str | None = None
    auto_enable: bool | None = None
    period: str | None = None
    full_every: int | None = None
    services: Sequence[str] | None = None
    keep_days: int | None = None

    def values(self) -> Mapping[str, Any]:
        """The settings that change."""
        return {name: value for name, value in asdict(self).items() if value is not None}
