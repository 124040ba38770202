"""An image and a site of whatever a test says."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping

from packaging.markers import default_environment

from airflow_package_manager.domain.lock import normalised
from airflow_package_manager.domain.resolution import Image, InstalledDistribution
from airflow_package_manager.installer.image import platform_tag, python_tag


def image(distributions: Iterable[InstalledDistribution] = ()) -> Image:
    """Return an image for this Python and platform."""
    return Image(
        distributions={found.name: found for found in distributions},
        python=python_tag(),
        platform=platform_tag(),
        python_version=platform.python_version(),
        executable=sys.executable,
        markers={key: str(value) for key, value in default_environment().items()},
    )


def distribution(name: str, version: str, *requires: str) -> InstalledDistribution:
    """Return one distribution of an image; its metadata is in no file."""
    return InstalledDistribution(normalised(name), version, requires)


class FakeInstalled:
    """Implements `InstalledDistributions`."""

    def __init__(
        self,
        of_image: Image | None = None,
        of_sites: Mapping[str, Mapping[str, InstalledDistribution]] | None = None,
    ) -> None:
        self.of_image = of_image or image(
            [distribution("airflow-like", "3.0", "helper>=1"), distribution("helper", "1.2")]
        )
        self.of_sites = dict(of_sites or {})

    def image(self) -> Image:
        return self.of_image

    def site(self, digest: str) -> Mapping[str, InstalledDistribution]:
        return self.of_sites.get(digest, {})
