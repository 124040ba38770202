"""The gate between installation and use: what no site may hold, by path and by owner.

A site comes before the image on `sys.path`, so whatever it holds under a name of the image replaces it. That is
allowed only where the lock replaces the owning distribution itself, which the plan showed and a person acknowledged.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator, Mapping

from airflow_package_manager.domain.lock import Lock
from airflow_package_manager.installer.image import ImageDistribution, headers_of, metadata_of
from airflow_package_manager.installer.site_marker import recorded
from airflow_package_manager.installer.site_owners import MODULE, Refusal, conflict, names_in, owner_in, text_of

_AT_START = frozenset({"sitecustomize", "usercustomize"})
INERT = {"distutils-precedence.pth": "setuptools"}
"""Root file → the project whose file it is, that may lie in a site all the same.

Python reads no `.pth` file of a site. Refusing this one would shut out every package that needs setuptools, which does
at its own import what the file would have done.
"""
_SETTINGS = "airflow_local_settings"
"""Airflow imports it at every start, and a site's would win over the administrator's own."""
_OURS = ("airflow_package_manager", "airflow_package_manager_site")
_PROVIDERS = "airflow/providers/"
_NEVER_IMPORTED = frozenset({"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts"})
"""What careless wheels bring beside their package: hiding another one's is harmless, replacing a file of it is not."""
_EXTENDS_PATH = re.compile(r"\bextend_path\s*\(|\bdeclare_namespace\s*\(")


def refusal(site: str, lock: Lock, image: Mapping[str, ImageDistribution]) -> Refusal | None:
    """Return the first thing in the site that may not be there, None when all is well; raises `OSError`."""
    paths = sorted(_files(site))
    for path, kind in paths:
        reason = _reason(path, kind)
        if reason is not None and not _inert(site, path, kind):
            return Refusal(path, f"{path!r} {reason} (from {owner_in(site, path)}).")
    found = _other_distribution(site, lock) or conflict(site)
    if found is not None:
        return found
    # Scripts come last on PATH and cannot win; metadata was compared with the lock just now.
    names = [name for name in names_in(site) if name != "bin" and not name.endswith(".dist-info")]
    return _Overlap(site, lock, image).first(names)


# --- what may not be there whatever the image holds --------------------------------------------------------------


def _files(root: str) -> Iterator[tuple[str, str]]:
    """Yield (path within the site, kind) of all that is no directory, directories that are links included."""
    left = [""]  # no recursion: a wheel may nest deeper than Python does
    while left:
        prefix = left.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_symlink():
                    yield path, "link"
                elif entry.is_dir():
                    left.append(path + "/")
                else:
                    yield path, "file" if entry.is_file() else "special"


def _reason(path: str, kind: str) -> str | None:
    top, slash, _rest = path.partition("/")
    stem = top.partition(".")[0].lower()
    forbidden = {
        "is a link, and a site holds none": kind == "link",
        "is no regular file": kind == "special",
        "would run at every start of Python": stem in _AT_START or (not slash and top.lower().endswith(".pth")),
        "would replace Airflow's local settings": stem == _SETTINGS,
        "would replace the package manager itself": stem in _OURS,
        "would replace Airflow itself": stem == "airflow" and not slash,
        "would change Airflow itself; only new providers may live under 'airflow/'": top == "airflow"
        and slash != ""
        and not (path.startswith(_PROVIDERS) and path.count("/") > 2),  # noqa: PLR2004 - airflow/providers/NAME/FILE
    }
    return next((reason for reason, holds in forbidden.items() if holds), None)


def _inert(site: str, path: str, kind: str) -> bool:
    return kind == "file" and path in INERT and owner_in(site, path).partition(" ")[0] == INERT[path]


def _other_distribution(site: str, lock: Lock) -> Refusal | None:
    expected = {pin.name for pin in lock.pins}
    for name in sorted(names_in(site)):
        # importlib.metadata takes these names in any case, and believes the name inside.
        if not name.lower().endswith((".dist-info", ".egg-info")):
            continue
        found = metadata_of(name, f"{site}/{name}")
        said = headers_of(f"{site}/{name}/METADATA")
        if found is None or said is None or said[0] != found[0] or found[0] not in expected:
            one = said or found
            shown = "an unknown distribution" if one is None else f"{one[0]} {one[1]}"
            return Refusal(name, f"{name!r} is the metadata of {shown}, which the lock does not name so.")
        expected.remove(found[0])  # a second one of the same project would say another version
    return None


# --- what the image owns -----------------------------------------------------------------------------------------


class _Overlap:
    """Compares one site with the image, name by name, and looks at RECORDs only where names meet."""

    def __init__(self, site: str, lock: Lock, image: Mapping[str, ImageDistribution]) -> None:
        self._site = site
        self._image = image
        self._roots = tuple(dict.fromkeys(distribution.directory for distribution in image.values()))
        self._replaced = [image[pin.name] for pin in lock.pins if pin.name in image]
        self._listings: dict[str, frozenset[str]] = {}
        self._free: frozenset[str] | None = None

    def first(self, names: list[str], prefix: str = "") -> Refusal | None:
        """Return the first path under `prefix` that hides or replaces something of the image."""
        for name in sorted(names):
            if name == "__pycache__":
                continue
            path = prefix + name
            folder = os.path.isdir(f"{self._site}/{path}")  # noqa: PTH112 - called for each directory
            found = self._directory(path) if folder else self._file(path, prefix, name)
            if found is not None:
                return found
        return None

    def _directory(self, path: str) -> Refusal | None:
        prefix, _, name = path.rpartition("/")
        inside = names_in(f"{self._site}/{path}")
        meets = any(name in self._listing(root, prefix) for root in self._roots)
        starts = [name for name in inside if name.startswith("__init__.") and MODULE.fullmatch(name[8:])]
        if path.startswith(_PROVIDERS) and (others := self._modules(path, "__init__")):
            return self._refuse(path, others, always=True)
        if not starts:
            return self.first(inside, path + "/") if meets else None
        found = self._refuse(path, self._modules(prefix, name))
        if found is not None or not meets:
            return found
        if path in _NEVER_IMPORTED or self._extends_its_path(path, starts):
            return self.first(inside, path + "/")
        return self._refuse(path, list(self._image_files(path)))

    def _file(self, path: str, prefix: str, name: str) -> Refusal | None:
        prefix = prefix.rstrip("/")
        stem = name.partition(".")[0]
        if any(name in self._listing(root, prefix) for root in self._roots):
            found = self._refuse(path, [path])
            if found is not None:
                return found
        if name == f"{stem}.py" or MODULE.fullmatch(name.removeprefix(stem)):
            hidden = [other for other in self._modules(prefix, stem) if other != path]
            package = f"{prefix}/{stem}".lstrip("/")
            if any(stem in self._listing(root, prefix) for root in self._roots):
                hidden += self._image_files(package)
            if hidden and stem != "__init__":
                return self._refuse(path, hidden)
        return None

    def _refuse(self, path: str, meeting: list[str], *, always: bool = False) -> Refusal | None:
        """Return a refusal unless all that `path` meets is the same in the site, or is replaced by the lock."""
        left = [other for other in meeting if always or self._hidden(other)]
        if not left:
            return None
        owners = self._owners(left)
        for other in left:
            if other in owners:
                owner = owners[other]
                which = "it" if other == path else f"{other!r}"
                return Refusal(
                    path,
                    f"{path!r} (from {owner_in(self._site, path)}) would replace {which}, which the image's"
                    f" {owner.name} {owner.version} owns.",
                )
        if path in left and not any(self._record_of(distribution) is None for distribution in self._replaced):
            return Refusal(
                path,
                f"{path!r} (from {owner_in(self._site, path)}) would replace a file of the image that none of its"
                " distributions names.",
            )
        return None

    def _hidden(self, path: str) -> bool:
        return path not in self._replaced_paths() and not self._identical(path)

    def _listing(self, root: str, prefix: str) -> frozenset[str]:
        folder = f"{root}/{prefix}"
        if folder not in self._listings:
            self._listings[folder] = frozenset(names_in(folder))
        return self._listings[folder]

    def _modules(self, prefix: str, stem: str) -> list[str]:
        """Return the image's files that are imported as `stem` in `prefix`, directories not counted."""
        names = {name for root in self._roots for name in self._listing(root, prefix)}
        found = (name for name in names if name.startswith(f"{stem}.") and MODULE.fullmatch(name[len(stem) :]))
        return sorted(f"{prefix}/{name}".lstrip("/") for name in found)

    def _image_files(self, path: str) -> list[str]:
        found = []
        for root in self._roots:
            if os.path.isdir(f"{root}/{path}"):  # noqa: PTH112 - as above
                found += [f"{path}/{name}" for name, _kind in _files(f"{root}/{path}") if "__pycache__" not in name]
        return sorted(found)

    def _extends_its_path(self, path: str, starts: list[str]) -> bool:
        """Tell whether a package lets the image's parts of it be seen (a compiled `__init__` beside it would win)."""
        return starts == ["__init__.py"] and bool(_EXTENDS_PATH.search(text_of(f"{self._site}/{path}/__init__.py")))

    def _identical(self, path: str) -> bool:
        mine = f"{self._site}/{path}"
        theirs = [f"{root}/{path}" for root in self._roots]
        theirs = [other for other in theirs if os.path.isfile(other)]  # noqa: PTH113 - as above
        return os.path.isfile(mine) and all(filecmp.cmp(mine, other, shallow=False) for other in theirs)  # noqa: PTH113

    def _replaced_paths(self) -> frozenset[str]:
        if self._free is None:
            texts = (self._record_of(distribution) for distribution in self._replaced)
            self._free = frozenset(path for text in texts if text is not None for path, _digest in recorded(text))
        return self._free

    def _owners(self, paths: list[str]) -> dict[str, ImageDistribution]:
        wanted = set(paths)
        owners: dict[str, ImageDistribution] = {}
        for distribution in self._image.values():
            if distribution not in self._replaced:
                for path, _digest in recorded(self._record_of(distribution) or ""):
                    if path in wanted:
                        owners.setdefault(path, distribution)
        return owners

    def _record_of(self, distribution: ImageDistribution) -> str | None:
        try:
            return text_of(f"{distribution.metadata}/RECORD")
        except (FileNotFoundError, NotADirectoryError):
            return None
