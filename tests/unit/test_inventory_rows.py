"""Requested, locked, installed: three columns, and "unknown" where nobody says."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

from airflow_package_manager.domain.inventory import Badge, Inventory, LineKind, PackageRow, Source
from airflow_package_manager.domain.inventory_rows import InventoryInputs, rows
from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.domain.plan import StoreSnapshot
from airflow_package_manager.domain.resolution import Image, InstalledDistribution
from airflow_package_manager.domain.rollout import ComponentStatus
from tests.unit import made

IMAGE = made.image({"core": "3", "protobuf": "6"}, {"core": ["protobuf>=5", "idna"]})
PRINT = IMAGE.fingerprint()
TEXT = "pandas>=2 # why\n-e .\nnever-applied\nprotobuf<6\n"
OLD = made.lock({"pandas": "1", "leftover": "1"}, revision=1)
NEW = made.lock({"pandas": "2", "protobuf": "5", "pytz": "1"}, text=TEXT, revision=2)


def ask(
    statuses: Mapping[str, ComponentStatus],
    *,
    text: str = TEXT,
    locks: tuple[Lock, ...] = (OLD, NEW),
    image: Image = IMAGE,
    known: Mapping[str, InstalledDistribution] | None = None,
) -> Inventory:
    texts = {lock.revision: lock.render() for lock in locks if lock.revision is not None}
    snapshot = StoreSnapshot(text, texts, max(texts) if texts else None, "v")
    return rows(InventoryInputs(snapshot, image, statuses, frozenset({"core"}), known or {}))


def row(inventory: Inventory, name: str) -> PackageRow:
    (found,) = (row for row in inventory.rows if row.name == name)
    return found


def cells(inventory: Inventory, name: str) -> list[tuple[str | None, str]]:
    return [(cell.version, cell.source.value) for cell in row(inventory, name).installed]


def test_each_component_shows_the_lock_that_it_reports() -> None:
    inventory = ask(
        {
            "scheduler": made.status("scheduler", lock_digest=NEW.digest(), image_print=PRINT),
            "triggerer": made.status("triggerer", lock_digest=OLD.digest(), image_print=PRINT),
            "dag-processor": made.status("dag-processor", lock_digest=None, image_print=PRINT),
        }
    )
    assert inventory.components == ("scheduler", "triggerer", "dag-processor")
    assert cells(inventory, "pandas") == [("2", "site"), ("1", "site"), (None, "absent")]
    assert cells(inventory, "protobuf") == [("5", "site"), ("6", "image"), ("6", "image")]
    assert cells(inventory, "leftover") == [(None, "absent"), ("1", "site"), (None, "absent")]
    assert inventory.revision == 2
    assert not inventory.edited_by_hand
    assert [line.kind for line in inventory.kept_lines] == [LineKind.EDITABLE]


def test_what_nobody_says_is_unknown() -> None:
    inventory = ask(
        {
            "other-image": made.status("a", lock_digest=NEW.digest(), image_print="f" * 64),
            "other-lock": made.status("b", lock_digest="e" * 64, image_print=PRINT),
            "dead": made.status("c", lock_digest=NEW.digest(), image_print=PRINT, alive=False),
            "none": made.component("d"),
            "disagreeing": made.component(
                "e",
                made.instance("1", lock_digest=NEW.digest(), image_print=PRINT),
                made.instance("2", lock_digest=OLD.digest(), image_print=PRINT),
            ),
        }
    )
    unknown = (None, "unknown")
    assert cells(inventory, "pandas") == [("2", "site"), unknown, unknown, unknown, unknown]
    assert cells(inventory, "core") == [unknown, unknown, unknown, unknown, ("3", "image")]
    assert Badge.UNKNOWN in row(inventory, "core").badges


def test_badges_say_what_a_row_is() -> None:
    inventory = ask({"scheduler": made.status("scheduler", lock_digest=NEW.digest(), image_print=PRINT)})
    assert {found.name: set(found.badges) for found in inventory.rows} == {
        "core": {Badge.IMAGE, Badge.PROTECTED},
        "never-applied": {Badge.DIRECT, Badge.PENDING},
        "pandas": {Badge.DIRECT},
        "protobuf": {Badge.DIRECT, Badge.SHADOWS},
        "pytz": {Badge.TRANSITIVE},
    }
    assert row(inventory, "pandas").requested == "pandas>=2"
    assert row(inventory, "protobuf").locked == "5"
    assert row(inventory, "protobuf").image == "6"


def test_who_needs_a_project_is_told_from_image_and_site() -> None:
    known = {"pandas": InstalledDistribution("pandas", "2", ("pytz", "protobuf; extra == 'x'"), summary="Frames")}
    inventory = ask({}, known=known)
    assert row(inventory, "protobuf").required_by == ("core",)
    assert row(inventory, "pytz").required_by == ("pandas",)
    assert row(inventory, "pandas").summary == "Frames"


def test_without_a_lock_everything_requested_is_pending_and_the_text_edited_by_hand() -> None:
    inventory = ask({"scheduler": made.status("scheduler", image_print=PRINT)}, locks=())
    assert inventory.revision is None
    assert inventory.edited_by_hand
    assert set(row(inventory, "pandas").badges) == {Badge.DIRECT, Badge.PENDING}
    assert not ask({}, locks=(), text="").edited_by_hand


def test_a_damaged_lock_is_no_lock() -> None:
    snapshot = StoreSnapshot("pandas\n", {1: "torn"}, 1, "v")
    inventory = rows(InventoryInputs(snapshot, IMAGE, {}, frozenset(), {}))
    assert inventory.edited_by_hand
    assert row(inventory, "pandas").locked is None


def test_an_empty_site_is_known_without_its_lock() -> None:
    empty = made.lock({}).digest()
    inventory = ask({"scheduler": made.status("scheduler", lock_digest=empty, image_print=PRINT)}, locks=())
    assert row(inventory, "core").installed[0].source is Source.IMAGE


def test_five_hundred_requirements_are_shown_within_milliseconds() -> None:
    pins = {f"project-{number}": "1" for number in range(500)}
    text = "".join(f"{name}>=1; python_version > '3.8'\n" for name in pins)
    lock = made.lock(pins, text=text, revision=1)
    names = [f"image-{number}" for number in range(350)]
    requires = {name: [f"image-{step}>=1; python_version > '3.8'" for step in range(20)] for name in names}
    image = made.image(dict.fromkeys(names, "1"), requires)
    known = {name: InstalledDistribution(name, "1", ("image-1", "project-2")) for name in pins}
    statuses = {
        name: made.status(name, lock_digest=lock.digest(), image_print=image.fingerprint())
        for name in ("a", "b", "c", "d")
    }
    snapshot = StoreSnapshot(text, {1: lock.render()}, 1, "v")
    inputs = InventoryInputs(snapshot, image, statuses, frozenset(names), known)
    assert len(rows(inputs).rows) == 850
    seconds = []
    for _attempt in range(5):
        started = time.process_time()
        rows(inputs)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05  # about 10 ms on a quiet machine


def test_a_beat_alone_is_no_new_question() -> None:
    known = {"pandas": InstalledDistribution("pandas", "2", ())}

    def beat(at: float, *, alive: bool = True, image_print: str = PRINT) -> Inventory:
        found = made.status("scheduler", lock_digest=NEW.digest(), image_print=image_print)
        instances = tuple(dataclasses.replace(one, reported_at=at, alive=alive) for one in found.instances)
        return ask({"scheduler": dataclasses.replace(found, instances=instances)}, known=known)

    first = beat(1.0)
    assert beat(2.0) is first
    assert cells(beat(3.0, alive=False), "pandas") == [(None, "unknown")]
    assert cells(beat(4.0, image_print="another"), "core") == [(None, "unknown")]
    assert cells(beat(5.0), "pandas") == [("2", "site")]
    assert [one.rows for one in (beat(6.0), ask({}, known=known))] != [first.rows, first.rows]


def test_what_is_read_anew_is_answered_anew() -> None:
    status = {"scheduler": made.status("scheduler", lock_digest=NEW.digest(), image_print=PRINT)}
    found = ask(status)
    assert ask(status) is found
    for other in (
        ask(status, text=TEXT + "idna\n"),
        ask(status, locks=(OLD,)),
        ask(status, image=made.image({"core": "3"})),
        ask(status, known={"pandas": InstalledDistribution("pandas", "2", (), summary="data frames")}),
    ):
        assert other.rows != found.rows
