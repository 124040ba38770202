"""The lock: what an instance installs beside its image, pin by pin, with hashes.

Standard library only: the installer reads it inside every component. The grammar is strict wherever a lock is
read; whatever is not exactly header, pin and SHA-256 is an error, so a lock can never carry an option.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

FORMAT = 1
MAXIMUM_BYTES = 1_000_000
RESERVED = frozenset(
    {"apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk", "airflow-package-manager", "uv"}
)
"""Never brought into a site, whether the image has them or not: a second copy would hide or replace Airflow itself."""
AIRFLOW_PREFIX = "apache-airflow-"
"""Task SDK, client and providers: whichever of them the image has stays as the image has it."""
_FIRST_LINE = f"# airflow-package-manager lock, format {FORMAT}"
_HEADER_KEYS = ("revision", "python", "platform", "image", "requirements")
_NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_VERSION = r"[0-9a-z][0-9a-z.!+]*"
_PIN = re.compile(rf"({_NAME})==({_VERSION})((?: --hash=sha256:[0-9a-f]{{64}})+)", re.ASCII)
_TAG = re.compile(r"[a-z0-9_.]{1,64}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_REVISION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class InvalidLock(ValueError):
    """The text is not a lock of this format; says the line and why."""


@dataclass(frozen=True, order=True)
class Pin:
    """One distribution of a lock."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    """As PEP 440 normalises it."""
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed, 64 hex digits each, sorted, each once."""


@dataclass(frozen=True)
class Lock:
    """The pins of one revision, only the difference to the image, with the environment they were resolved for."""

    python: str
    """Python tag, for example ``cp311``."""
    platform: str
    """Platform tag, for example ``linux_x86_64``."""
    image: str
    """Fingerprint of the image (see `image_fingerprint`)."""
    requirements: str
    """SHA-256 of the requirements text that this lock fulfils."""
    pins: tuple[Pin, ...] = ()
    """Sorted by name, each name once."""
    revision: int | None = None
    """None while planned: the accepting UPDATE allocates it."""

    def digest(self) -> str:
        """Return the SHA-256 of pins, Python and platform: two revisions with the same pins share one site."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        lines = [self.python, self.platform, *map(_render_pin, sorted(self.pins))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def with_revision(self, revision: int) -> Lock:
        """Return the same lock for an accepted revision."""
        return dataclasses.replace(self, revision=revision)

    def render(self) -> str:
        """Return the text; `parse` reads it back equal."""
        header = {
            "revision": "" if self.revision is None else str(self.revision),
            "python": self.python,
            "platform": self.platform,
            "image": self.image,
            "requirements": self.requirements,
        }
        lines = [_FIRST_LINE]
        lines += [f"# {key}: {header[key]}".rstrip() for key in _HEADER_KEYS]
        lines += [_render_pin(pin) for pin in sorted(self.pins)]
        return "\n".join(lines) + "\n"


@lru_cache(maxsize=32)
def parse(text: str) -> Lock:
    """Return the lock; raises `InvalidLock` for anything that `Lock.render` would not have written.

    Remembered, because a server reads the few locks of today again with each request.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAXIMUM_BYTES:
        raise InvalidLock(f"a lock is at most {MAXIMUM_BYTES} bytes")
    lines = text.split("\n")
    if lines.pop() != "":
        raise InvalidLock("the last line has no end: the lock is torn")
    if not lines or lines[0] != _FIRST_LINE:
        raise InvalidLock(f"line 1 is not {_FIRST_LINE!r}")
    header = {}
    for number, key in enumerate(_HEADER_KEYS, start=2):
        found = lines[number - 1] if len(lines) >= number else ""
        prefix = f"# {key}:"
        if not found.startswith(prefix):
            raise InvalidLock(f"line {number} is not the header {key!r}")
        header[key] = found.removeprefix(prefix).removeprefix(" ")
    _require_header(header)
    pins = []
    for number, line in enumerate(lines[1 + len(_HEADER_KEYS) :], start=2 + len(_HEADER_KEYS)):
        match = _PIN.fullmatch(line)
        if match is None:
            raise InvalidLock(f"line {number} is not 'name==version --hash=sha256:…'")
        hashes = tuple(part.removeprefix("--hash=sha256:") for part in match[3].split())
        pins.append(Pin(match[1], match[2], hashes))
    names = [pin.name for pin in pins]
    if names != sorted(set(names)):
        raise InvalidLock("the pins are not sorted by name, each name once")
    revision = int(header["revision"]) if header["revision"] else None
    lock = Lock(
        python=header["python"],
        platform=header["platform"],
        image=header["image"],
        requirements=header["requirements"],
        pins=tuple(pins),
        revision=revision,
    )
    if lock.render() != text:
        raise InvalidLock("the lock is not written as this program writes it (spaces, or the order of hashes)")
    return lock


def image_fingerprint(distributions: Mapping[str, str], python: str, platform: str) -> str:
    """Return the SHA-256 that names an image: normalised name → version of all it holds, Python tag, platform tag."""
    lines = [python, platform, *(f"{name}=={version}" for name, version in sorted(distributions.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def text_digest(text: str) -> str:
    """Return the SHA-256 of a requirements text, as `Lock.requirements` holds it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def normalised(name: str) -> str:
    """Return the name as PEP 503 normalises it (the same as `packaging.utils.canonicalize_name`, without packaging)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_by_name(pins: Iterable[Pin]) -> dict[str, Pin]:
    """Return the pins keyed by normalised name."""
    return {pin.name: pin for pin in pins}


def _render_pin(pin: Pin) -> str:
    return f"{pin.name}=={pin.version}" + "".join(f" --hash=sha256:{digest}" for digest in sorted(set(pin.hashes)))


def _require_header(header: Mapping[str, str]) -> None:
    if header["revision"] and not _REVISION.fullmatch(header["revision"]):
        raise InvalidLock("the header 'revision' is not a positive number")
    for key in ("python", "platform"):
        if not _TAG.fullmatch(header[key]):
            raise InvalidLock(f"the header {key!r} is not a tag")
    for key in ("image", "requirements"):
        if not _SHA256.fullmatch(header[key]):
            raise InvalidLock(f"the header {key!r} is not a SHA-256")
