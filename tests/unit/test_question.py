"""A restored revision's lock is used as it is, with what its site still says of the distributions."""

from __future__ import annotations

import dataclasses

from airflow_package_manager.domain.operation import State
from airflow_package_manager.domain.plan import ChangeSet
from airflow_package_manager.domain.question import Question
from airflow_package_manager.domain.resolution import InstalledDistribution
from tests.fakes.application import Application, add

SITE = {"humanize": InstalledDistribution("humanize", "1.0", (), None, "Counts", ("console_scripts",))}


def _question(app: Application) -> Question:
    restored = app.repository.revision(1)
    assert restored.state is State.SUCCEEDED
    return Question.of(ChangeSet(restore=1), app.store.read(), app.installed.image(), restored)


def test_what_the_site_says_is_known() -> None:
    app = Application()
    app.done(add("humanize==1.0"))
    asked: list[str] = []
    found = _question(app).stored_resolution(lambda digest: asked.append(digest) or SITE)  # type: ignore[func-returns-value]
    assert found is not None
    assert asked == [found.lock.digest()]
    assert found.distributions["humanize"].entry_points == ("console_scripts",)
    assert found.distributions["humanize"].summary == "Counts"


def test_what_no_site_says_stays_unknown() -> None:
    app = Application()
    app.done(add("humanize==1.0"))
    found = _question(app).stored_resolution(lambda _: {})
    assert found is not None
    assert found.distributions == {}


def test_another_image_takes_no_stored_lock() -> None:
    app = Application()
    app.done(add("humanize==1.0"))
    question = _question(app)
    other = dataclasses.replace(question.image, python="cp399")
    assert dataclasses.replace(question, image=other).stored_resolution(lambda _: SITE) is None
