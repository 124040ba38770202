"""The errors of the request: what was asked cannot be read, or cannot be done as it stands.

Same law as `errors`: one stable code each, a next action for people, context as data, no secret.
"""

from __future__ import annotations

from airflow_package_manager.errors import PackageManagerError

# --- the request itself ------------------------------------------------------------------------------------------


class Malformed(PackageManagerError):
    """The body is not what the endpoint takes; `field` names the place."""

    code = "malformed"
    title = "The request cannot be read"
    default_next_action = "Correct the named field and send the request again."


class NotFound(PackageManagerError):
    """No such operation, revision, project or address."""

    code = "not-found"
    title = "There is no such thing"
    default_next_action = "Check the address, or list what exists."


class MethodNotAllowed(PackageManagerError):
    """The address exists, this method on it does not."""

    code = "method-not-allowed"
    title = "This method is not offered here"
    default_next_action = "Use one of the methods named in the Allow header."


class BodyTooLarge(PackageManagerError):
    """The body is over the limit; nothing of it was parsed."""

    code = "body-too-large"
    title = "The request is too large"
    default_next_action = "Send fewer changes at once, or a shorter file."


class UnsupportedMediaType(PackageManagerError):
    """Only uncompressed `application/json` is read."""

    code = "unsupported-media-type"
    title = "The request must be application/json"
    default_next_action = "Send the body uncompressed, as application/json."


# --- what is asked -----------------------------------------------------------------------------------------------


class InvalidRequirement(PackageManagerError):
    """Not PEP 508, or refused by the door's limits; `field` and `requirement` name it."""

    code = "invalid-requirement"
    title = "This is not a valid requirement"
    default_next_action = "Write it as in requirements.txt, for example: pandas>=2.1,<3 or celery[redis]~=5.4."


class InvalidRequirementsFile(PackageManagerError):
    """The proposed text has lines that cannot be planned; `lines` holds number, text and reason of each."""

    code = "invalid-requirements-file"
    title = "The requirements file has lines that cannot be used"
    default_next_action = "Remove or correct the named lines."


class AmbiguousRequirement(PackageManagerError):
    """Several lines name this project, so an edit of "its" line has no single meaning; `lines` numbers them."""

    code = "ambiguous-requirement"
    title = "Several lines name this project"
    default_next_action = "Edit the whole file and leave one line for the project."


class RequirementNotFound(PackageManagerError):
    """Update or remove of a project that the file does not name."""

    code = "requirement-not-found"
    title = "The file does not name this project"
    default_next_action = (
        "Add it first; a package from the image or one that another package brings has no line to edit."
    )


class AlreadyRequired(PackageManagerError):
    """Add of a project that the file names already."""

    code = "already-required"
    title = "The file names this project already"
    default_next_action = "Update it instead."


class PolicyViolation(PackageManagerError):
    """A rule forbids it; `violations` holds rule, name, message and next action of each."""

    code = "policy-violation"
    title = "A rule forbids this change"
    default_next_action = "See each violation for who can lift it."


class AcknowledgementRequired(PackageManagerError):
    """The plan has consequences that must be accepted by name; `acknowledgements` lists them."""

    code = "acknowledgement-required"
    title = "This change must be acknowledged"
    default_next_action = "Read what would be shadowed, then plan again with the listed acknowledgements."


class AcknowledgementUnknown(PackageManagerError):
    """Something was acknowledged that the plan does not do; `acknowledgements` lists it."""

    code = "acknowledgement-unknown"
    title = "An acknowledgement fits nothing in this plan"
    default_next_action = "Plan again without it."


class ResolutionImpossible(PackageManagerError):
    """No set of versions fits; `causes` is our explanation as data, `resolver` the resolver's own text."""

    code = "resolution-impossible"
    title = "These requirements cannot be installed together"
    default_next_action = "Choose a version that fits; the causes name who forbids this one."


class UnknownProject(PackageManagerError):
    """The index does not know the name; `project`, and `suggestions` that look alike."""

    code = "unknown-project"
    title = "The package index does not know this project"
    default_next_action = "Check the spelling, or add the index that has it to extra_index_urls."


class UnknownVersion(PackageManagerError):
    """The index knows the project but no version that fits; `available` lists the newest."""

    code = "unknown-version"
    title = "The package index has no such version"
    default_next_action = "Choose one of the versions that exist."


class NoWheel(PackageManagerError):
    """Versions exist, but no wheel for this Python and platform; building is not done here."""

    code = "no-wheel"
    title = "There is no wheel for this Python and platform"
    default_next_action = "Choose another version, or build a wheel and publish it on your own index."


class ImageDiffers(PackageManagerError):
    """A component is known to have other packages than the planning one; `components` names them."""

    code = "image-differs"
    title = "A component has another image than this one"
    default_next_action = "Bring all components to the same Airflow environment, then plan again."


class StoreTooLarge(PackageManagerError):
    """Text and locks would not fit into the store."""

    code = "store-too-large"
    title = "The requirements would be too large to store"
    default_next_action = "Remove lines, or build an image that brings most of these packages."


class NothingToChange(PackageManagerError):
    """Text and lock would both stay as they are."""

    code = "nothing-to-change"
    title = "Nothing would change"
    default_next_action = "There is nothing to apply."


class NoComponents(PackageManagerError):
    """There is nothing to restart, or a named component does not exist; an empty set is never success."""

    code = "no-components"
    title = "There is no component to restart"
    default_next_action = "Start Airflow's components with 'airflow-package-manager run --component NAME -- COMMAND'."


class UnsupportedWorkload(PackageManagerError):
    """A component is run in a way that cannot be restarted safely."""

    code = "unsupported-workload"
    title = "A component cannot be restarted safely"
    default_next_action = "Change how the named component is run; see the runbook."


class ComponentsUnsettled(PackageManagerError):
    """A component has not come back from its restart, so what it may still need was kept; `component` names it."""

    code = "components-unsettled"
    title = "A component has not come back from its restart"
    default_next_action = "Look at its pods, mend what they say, and run the same command again."


def all_errors() -> tuple[type[PackageManagerError], ...]:
    """Return every class that is ever raised, the root first, in the order of their files."""
    return (PackageManagerError, *PackageManagerError.__subclasses__())
