"""How long a supervisor waits for what."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_package_manager.settings import Settings


@dataclass(frozen=True)
class Timing:
    """All in seconds; tests give shorter ones."""

    ready_timeout: float
    soak: float
    stop_timeout: float
    install_timeout: float
    tick: float = 0.1
    """Between two looks at child and signals."""
    poll: float = 0.5
    """Between two looks at the stamp."""
    beat: float = 3.0
    """Between two reports."""
    probe: float = 1.0
    """Between two questions to the ready address."""
    handover: float = 5.0
    """From SIGTERM to SIGKILL of a scheduler whose running tasks go on.

    Long enough for one without tasks to end by itself (1 to 2 s where nothing else runs): its idle workers learn from
    it that they are to end, and one that is killed before it told them leaves them until its supervisor stops.
    """
    retry: float = 15.0
    """Until an installation that failed for want of a network is tried again."""
    sweep: float = 60.0
    """Between two tidyings."""
    lost: float = 30.0
    silent: float = 600.0
    young: float = 600.0
    """See `sweeping`."""

    @classmethod
    def of(cls, settings: Settings) -> Timing:
        """Return the times that the settings give."""
        return cls(
            ready_timeout=settings.ready_timeout,
            soak=settings.soak,
            stop_timeout=settings.stop_timeout,
            install_timeout=settings.install_timeout,
        )
