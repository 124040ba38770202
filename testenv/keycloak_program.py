"""Keycloak's own distribution, fetched by Maven, built once and cached outside the repository.

It is the one that its makers publish; the hash of the archive is pinned here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

from testenv.airflow_environment import cache_directory

VERSION = "26.5.6"
SHA256 = "490189d9dff05272432d51f71a069462eeca97f2920a694d539a1e6c26a5a347"
BUILT_FOR = ("--db=dev-file",)
"""What is fixed when it is built: a database in a file."""
KEPT_SECONDS = 7 * 24 * 3600
SECONDS = 900.0
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_ARTIFACT = "org.keycloak:keycloak-quarkus-dist"


class KeycloakMissing(RuntimeError):
    """It cannot be had on this machine; says what to install or to set."""


def home() -> Path:
    """Return the directory of a Keycloak that is ready to start, where nobody writes; raises `KeycloakMissing`."""
    for program, package in {"java": "openjdk-17-jre-headless", "mvn": "maven"}.items():
        if shutil.which(program) is None:
            raise KeycloakMissing(f"There is no {program}: run 'apt-get install -y --no-install-recommends {package}'.")
    root = cache_directory() / "keycloak"
    root.mkdir(parents=True, exist_ok=True)
    pinned = hashlib.sha256("\n".join((SHA256, *BUILT_FOR)).encode()).hexdigest()
    wanted = root / f"{VERSION}-{pinned[:16]}"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (wanted / "complete").exists():
            shutil.rmtree(wanted, ignore_errors=True)
            _install(wanted)
            (wanted / "complete").touch()
        os.utime(wanted)
        for other in root.glob("*-*"):
            if other != wanted and other.stat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return wanted / f"keycloak-{VERSION}"


def _install(wanted: Path) -> None:
    wanted.mkdir()
    _run(
        [
            "mvn",
            "--quiet",
            "--batch-mode",
            _COPY,
            f"-Dartifact={_ARTIFACT}:{VERSION}:zip",
            f"-DoutputDirectory={wanted}",
        ]
    )
    (archive,) = wanted.glob("*.zip")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise KeycloakMissing(f"{archive.name} has the SHA-256 {found}, not {SHA256}.")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(wanted)
    archive.unlink()
    _run(["sh", str(wanted / f"keycloak-{VERSION}" / "bin" / "kc.sh"), "build", *BUILT_FOR])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise KeycloakMissing(
            f"'{' '.join(command)}' ended with {done.returncode}. Where it could not fetch, give Maven a repository "
            f"that this machine reaches (settings.xml).\n{said}"
        )
