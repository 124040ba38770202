"""A directory that uv takes for an environment with everything installed: metadata of the lock and the image, no code.

uv leaves alone what is installed and fits, so adding one package moves no other; and it needs no index for what it
finds here, so packages that are on no index work. Where both have a name the image wins: a site's copy that nobody
needs any more disappears by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from airflow_package_manager.domain.resolution import Image, InstalledDistribution, WheelMetadata

_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def build(site: Path, image: Image, pins: Mapping[str, tuple[str, WheelMetadata | None]]) -> dict[str, str]:
    """Make the directory and return what uv will see in it: normalised name → version.

    `pins` maps the current lock's names to version and metadata; one without metadata cannot be shown to uv and is
    left out, as is a distribution of the image whose version is none.
    """
    site.mkdir()
    seen = {}
    for name, distribution in image.distributions.items():
        if not _is_version(distribution.version):
            continue
        information = _information(site, name, distribution.version)
        _link_or_write(information / "METADATA", distribution)
        seen[name] = distribution.version
    for name, (version, metadata) in pins.items():
        if name not in seen and metadata is not None:
            (_information(site, name, version) / "METADATA").write_text(metadata.headers, encoding="utf-8")
            seen[name] = version
    return seen


def _information(site: Path, name: str, version: str) -> Path:
    directory = site / f"{name.replace('-', '_')}-{version}.dist-info"
    directory.mkdir()
    (directory / "RECORD").touch()
    (directory / "INSTALLER").write_text("uv\n")
    return directory


def _link_or_write(target: Path, distribution: InstalledDistribution) -> None:
    """Link the METADATA file; uv sees nothing when the directory itself is a link (measured)."""
    known = Path(distribution.metadata_path) if distribution.metadata_path else None
    if known is not None and known.name == "METADATA" and known.is_file():
        target.symlink_to(known.absolute())
        return
    extras = dict.fromkeys(extra for line in distribution.requires for extra in _EXTRA.findall(line))
    lines = ["Metadata-Version: 2.1", f"Name: {distribution.name}", f"Version: {distribution.version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {line}" for line in distribution.requires]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
