from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_package_manager.adapters.kubernetes.failures import Gone
from airflow_package_manager.adapters.kubernetes.kinds import POD, Object
from airflow_package_manager.adapters.kubernetes.mirror import Mirror, Rhythm
from airflow_package_manager.errors import ClusterForbidden, ClusterUnavailable
from tests.fakes.cluster import MemoryApi, State

SPACE = "airflow"
QUICK = Rhythm(watch=0.05, relist=300, idle=60, first=5, stale=60, pause=0)


def _pod(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"large": "x"}}


def _trim(pod: Object) -> Object:
    return {"metadata": {key: pod["metadata"][key] for key in ("name", "uid", "resourceVersion")}}


def _mirror(api: MemoryApi, rhythm: Rhythm = QUICK, clock: Callable[[], float] = time.monotonic) -> Mirror:
    return Mirror(api, POD, SPACE, selector="app=airflow", trim=_trim, rhythm=rhythm, clock=clock)


def _state(found: Mapping[str, Object]) -> State:
    return frozenset((uid, pod["metadata"]["resourceVersion"]) for uid, pod in found.items())


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def _lives(mirror: Mirror) -> bool:
    return mirror._run is not None and mirror._run._thread.is_alive()


def test_nothing_is_asked_before_the_first_question() -> None:
    api = MemoryApi()
    mirror = _mirror(api)
    assert (api.lists, api.watches, mirror.age()) == (0, 0, float("inf"))


def test_objects_are_trimmed_and_kept_current_without_another_list() -> None:
    api = MemoryApi()
    api.create(POD, SPACE, _pod("one", app="airflow"))
    api.create(POD, SPACE, _pod("foreign", app="other"))
    mirror = _mirror(api)
    (one,) = mirror.get().values()
    assert (one["metadata"]["name"], "spec" in one) == ("one", False)
    api.create(POD, SPACE, _pod("two", app="airflow"))
    _until(lambda: {pod["metadata"]["name"] for pod in mirror.get().values()} == {"one", "two"})
    assert all("spec" not in pod for pod in mirror.get().values())
    api.delete(POD, SPACE, "one")
    _until(lambda: {pod["metadata"]["name"] for pod in mirror.get().values()} == {"two"})
    assert api.lists == 1
    assert mirror.age() < 5
    mirror.close()


def test_what_was_handed_out_does_not_change_any_more() -> None:
    api = MemoryApi()
    api.create(POD, SPACE, _pod("one", app="airflow"))
    mirror = _mirror(api)
    before = mirror.get()
    api.delete(POD, SPACE, "one")
    _until(lambda: not mirror.get())
    assert len(before) == 1
    mirror.close()


@pytest.mark.parametrize("error", [Gone("too old"), ClusterUnavailable("cut")])
def test_a_watch_that_breaks_is_followed_by_a_list(error: Exception) -> None:
    api = MemoryApi()
    api.cuts.append((0, error))
    mirror = _mirror(api)
    mirror.get()
    _until(lambda: api.lists == 2)
    mirror.get()
    mirror.close()


def test_what_must_be_certain_does_not_wait_for_a_silent_watch() -> None:
    api, now = MemoryApi(), [0.0]
    mirror = _mirror(api, Rhythm(watch=60, certain=10), clock=lambda: now[0])
    assert mirror.get() == {}
    _until(lambda: api.watches == 1)
    for seconds, lists in ((9.0, 1), (11.0, 2), (12.0, 2)):
        now[0] = seconds
        mirror.get()
        mirror.get(certain=True)
        assert api.lists == lists
    assert mirror.age() == 1.0
    mirror.close()


def test_an_error_is_raised_by_the_next_question_and_the_one_after_starts_anew() -> None:
    api = MemoryApi()
    forbidden = ClusterForbidden("pods may not be listed")
    api.refusals.append(forbidden)
    mirror = _mirror(api)
    with pytest.raises(ClusterForbidden) as caught:
        mirror.get()
    assert caught.value is forbidden
    assert mirror.get() == {}
    mirror.close()


def test_an_error_while_nobody_asks_is_kept_for_the_next_question() -> None:
    api = MemoryApi()
    mirror = _mirror(api)
    mirror.get()
    api.cuts.append((0, ClusterForbidden("pods may not be watched")))
    _until(lambda: not _lives(mirror))
    with pytest.raises(ClusterForbidden):
        mirror.get()
    assert mirror.get() == {}
    mirror.close()


def test_everything_is_listed_anew_from_time_to_time() -> None:
    api = MemoryApi()
    mirror = _mirror(api, Rhythm(watch=0.01, relist=0.02, idle=60, first=5, stale=60, pause=0))
    mirror.get()
    _until(lambda: api.lists >= 3)
    mirror.close()


def test_it_ends_when_nobody_asks_and_starts_with_the_next_question() -> None:
    api = MemoryApi()
    mirror = _mirror(api, Rhythm(watch=0.01, relist=300, idle=0.05, first=5, stale=60, pause=0))
    mirror.get()
    _until(lambda: not _lives(mirror))
    api.create(POD, SPACE, _pod("later", app="airflow"))
    assert len(mirror.get()) == 1
    assert api.lists == 2
    mirror.close()


def test_a_server_that_says_nothing_is_unavailable_not_unchanged() -> None:
    api = MemoryApi()
    now = [0.0]
    mirror = _mirror(api, Rhythm(watch=5, relist=3000, idle=3000, first=5, stale=90, pause=0), clock=lambda: now[0])
    mirror.get()
    now[0] = 91.0
    with pytest.raises(ClusterUnavailable, match="91 s"):
        mirror.get()
    mirror.close()
    api.create(POD, SPACE, _pod("end", app="airflow"))


def test_the_first_list_is_waited_for_only_so_long() -> None:
    class Slow(MemoryApi):
        def list(self, *arguments: object, **named: object) -> None:  # type: ignore[override]
            del arguments, named
            release.wait(5)
            raise ClusterUnavailable("too late")

    release = threading.Event()
    mirror = _mirror(Slow(), Rhythm(watch=0.05, first=0.05))
    with pytest.raises(ClusterUnavailable, match="heard nothing"):
        mirror.get()
    release.set()
    _until(lambda: not _lives(mirror))


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    script = """
import os, sys
from tests.fakes.cluster import MemoryApi
from tests.unit.test_kubernetes_mirror import _mirror
api = MemoryApi()
mirror = _mirror(api)
mirror.get()
run = mirror._run
run._changed.acquire()  # as another thread may hold it in the moment of the fork
child = os.fork()
if child == 0:
    mirror.get()
    os._exit(0 if mirror._run is not run and mirror._run._thread.is_alive() else 1)
run._changed.release()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0


STEP = st.one_of(
    st.tuples(st.sampled_from(["create", "modify", "delete"]), st.sampled_from("abc")),
    st.tuples(st.just("forget"), st.just("")),
    st.tuples(st.just("look"), st.just("")),
)
CUT = st.tuples(
    st.integers(min_value=0, max_value=4),
    st.sampled_from([None, Gone("too old"), ClusterUnavailable("the connection broke")]),
)


def _do(api: MemoryApi, step: str, name: str, number: int) -> None:
    present = {pod["metadata"]["name"] for pod in api.list(POD, SPACE).items}
    if step == "create" and name not in present:
        api.create(POD, SPACE, _pod(name, app="airflow"))
    elif step == "modify" and name in present:
        api.patch(POD, SPACE, name, {"spec": {"number": number}})
    elif step == "delete":
        api.delete(POD, SPACE, name)
    elif step == "forget":
        api.forget()


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=25), st.lists(CUT, max_size=12))
def test_however_the_watch_is_cut_it_shows_what_was_and_ends_with_what_is(
    steps: list[tuple[str, str]], cuts: list[tuple[int, Exception | None]]
) -> None:
    api = MemoryApi()
    api.cuts.extend(cuts)
    mirror = _mirror(api, Rhythm(watch=0.005, relist=300, idle=60, first=5, stale=60, pause=0))
    shown = [_state(mirror.get())]
    for number, (step, name) in enumerate(steps):
        _do(api, step, name, number)
        if step == "look":
            shown.append(_state(mirror.get()))
    _until(lambda: _state(mirror.get()) == api.states[-1])
    mirror.close()
    moments = [api.states.index(state) if state else 0 for state in shown]
    assert all(state in api.states for state in shown)
    full = [moment for moment, state in zip(moments, shown, strict=True) if state]
    assert full == sorted(full), "it went back in time"
