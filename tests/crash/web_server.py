"""The api-server's place: a light component whose process also hosts the driver, as Airflow's web server does."""

from __future__ import annotations

import os
import threading

from tests.crash import light_component

if __name__ == "__main__":
    stopping = light_component.begin()
    if os.environ.get("CRASH_WEB_DRIVES"):
        from tests.crash.house import build

        watch = threading.Thread(target=build().driver.watch, args=(stopping,))
        watch.start()
        watch.join()
    else:
        stopping.wait()
