"""An installer without uv: `light_installer.py DIRECTORY REVISION`; the file `DIRECTORY/install.REVISION` tells how.

Words: fail, retry, hang, mute, slow=SECONDS; everything else becomes the site's file `behaviour`.
"""

from __future__ import annotations

import sys
import time

from airflow_package_manager.domain import lock as locks
from airflow_package_manager.domain import report
from airflow_package_manager.domain.report import InstallReport
from airflow_package_manager.installer.directory import Directory


def main() -> int:
    directory, revision = Directory(sys.argv[1]), int(sys.argv[2])
    file = directory.root / f"install.{revision}"
    words = dict(word.partition("=")[::2] for word in (file.read_text() if file.exists() else "").split())
    with (directory.root / "installs.log").open("a") as stream:
        stream.write(f"install {revision}\n")
    if "hang" in words:
        time.sleep(1000)
    if "mute" in words:
        return 3
    time.sleep(float(words.pop("slow", 0)))
    text = directory.read_lock(revision)
    if text is None or "fail" in words or "retry" in words:
        code = "lock-missing" if text is None else "no-wheel"
        answer = InstallReport(
            report.FAILED, revision, code=code, cause="as scripted", retryable=text is None or "retry" in words
        )
    else:
        digest = locks.parse(text).digest()
        site = directory.site(digest)
        answer = InstallReport(report.PRESENT if site.exists() else report.INSTALLED, revision, lock_digest=digest)
        site.mkdir(exist_ok=True)
        (site / "behaviour").write_text(" ".join(f"{key}={value}" if value else key for key, value in words.items()))
    sys.stdout.write(report.dump(answer) + "\n")
    return answer.exit_status


if __name__ == "__main__":
    sys.exit(main())
