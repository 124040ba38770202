"""What Airflow's own database tells of its components and its DAG files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life of one of Airflow's jobs."""

    host: str
    at: float
    """Unix seconds."""
    started_at: float
    """Unix seconds."""


@dataclass(frozen=True)
class ImportFailure:
    """A DAG file that Airflow could not import."""

    file: str
    at: float
    """Unix seconds."""
    message: str
    """The trace as Airflow keeps it."""
