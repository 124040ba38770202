"""What an installation decides about every plan, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_package_manager.domain.executors import SchedulerStop


@dataclass(frozen=True)
class PlanningRules:
    """The plain values that a plan depends on."""

    configured_components: tuple[str, ...]
    """The setting `components`; empty means auto."""
    order: tuple[str, ...]
    """The setting `rollout_order`."""
    deadline: float
    """Seconds after which a plan is given up, whatever it is doing."""
    executors: tuple[str, ...]
    """Airflow's, by class name."""
    scheduler_stop: SchedulerStop
    seconds_once: int
    """At most, before the first restart and after the last one."""
    seconds_per_component: int
    """At most, until a component gives a sign of life once its instances are ready."""
    seconds_per_instance: int
    """At most, to install and start one instance; how long it may take to stop is what its status tells."""
