"""Activates the site of this environment: every interpreter imports this by the `.pth` line beside it.

It must be quick (no pathlib), must never raise, and must stay out of the way of its own rescue.
"""
# ruff: noqa: PTH100, PTH111, PTH113, PTH118, PTH119, PTH120

import os
import sys

MARKER = ".airflow-package-manager-site"  # installer.image knows the same name; a test compares them


def _is_rescue(argv: list[str]) -> bool:
    """Tell whether this interpreter runs the installer or the command line, which never run on the site."""
    words = iter(argv[1:])
    for word in words:
        if not word.startswith("-") or word == "-":
            return os.path.basename(word) == "airflow-package-manager"
        if word in {"-W", "-X", "--check-hash-based-pycs"}:
            next(words, None)
        elif word[1] not in "WX-":
            for position, letter in enumerate(word):
                if letter in "cm":
                    module = word[position + 1 :] or next(words, "")
                    return letter == "m" and module.partition(".")[0] == "airflow_package_manager"
    return False


def _activate() -> None:
    wanted = os.environ.get("AIRFLOW_PACKAGE_MANAGER_SITE")
    if wanted == "off" or _is_rescue(sys.orig_argv):
        return
    if sys.prefix != sys.base_prefix and not os.path.abspath(__file__).startswith(sys.prefix + os.sep):
        return  # another virtual environment that sees the packages of ours
    home = os.path.expanduser(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    link = wanted or os.path.join(home, "package_manager", "active")
    if not os.path.isfile(os.path.join(link, MARKER)):
        if wanted or os.path.lexists(link):
            raise FileNotFoundError(f"{link} is not a complete site")
        return
    site = os.path.realpath(link)
    if site not in sys.path:
        place, standard = len(sys.path), os.path.dirname(os.__file__)
        for number in range(place - 1, -1, -1):  # from the end: PYTHONPATH may name anything, in front
            if sys.path[number] == standard:
                break
            if os.path.basename(sys.path[number]) in {"site-packages", "dist-packages"}:
                place = number
        sys.path.insert(place, site)
    scripts = os.path.join(site, "bin")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if scripts not in folders:
        os.environ["PATH"] = os.pathsep.join([*folders, scripts])


try:
    _activate()
except Exception as error:  # noqa: BLE001 - an interpreter starts, whatever is wrong with the site
    if sys.stderr is not None:
        sys.stderr.write(f"airflow-package-manager: this process runs without its site: {error}\n")
