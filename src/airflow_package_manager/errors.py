"""The root of all our errors, and those of the caller, the moment and the world; `refusals` has those of the request.

Each class owns one stable ``code``. `web.problems` maps a code to an HTTP status, `cli` maps it to an exit
status, and a test compares both with the two modules and with ``docs/errors.md``. A class says by default what the
person should do next; a raiser that knows better passes ``next_action``. Context travels as data
(`context`, JSON values only), never only inside the sentence. No message may contain a secret.

A failed rollout is not an error: it is the state of an operation.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost each start of a component 4 ms
if TYPE_CHECKING:
    from typing import ClassVar


class PackageManagerError(Exception):
    """The root: whatever this project raises on purpose is one of these."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong inside the package manager"
    retryable: ClassVar[bool] = False
    """The driver may try the same step again without anybody changing anything."""
    default_next_action: ClassVar[str] = "Look for the correlation id in the server's log."

    def __init__(self, detail: str, *, next_action: str | None = None, **context: object) -> None:
        """Take the sentence for people; `context` must hold JSON values only."""
        super().__init__(detail)
        self.detail = detail
        self.next_action = next_action or self.default_next_action
        self.context: dict[str, object] = context
        self.recorded = False
        """The audit record has it already; whoever records it sets this, so that it is recorded once."""

    def as_problem(self) -> dict[str, object]:
        """Return it as an operation keeps it: `code`, `title`, `detail`, `next_action`, and the context beside them."""
        return {
            **self.context,
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            "next_action": self.next_action,
        }


# --- who asks ----------------------------------------------------------------------------------------------------


class NotAuthenticated(PackageManagerError):
    """Nobody is logged in, or the session ended."""

    code = "not-authenticated"
    title = "You are not logged in"
    default_next_action = "Log in to Airflow and try again."


class Forbidden(PackageManagerError):
    """Logged in, without the permission; `permission` names it."""

    code = "forbidden"
    title = "You may not do this"
    default_next_action = "Ask an Airflow administrator: by default only the Admin role may use the package manager."


class CrossOrigin(PackageManagerError):
    """A browser sent this on behalf of another site."""

    code = "cross-origin"
    title = "The request did not come from this Airflow's own page"
    default_next_action = (
        "Open Admin → Package Manager on Airflow's own address; if a proxy changes it, set base_url in [api], on"
        " Airflow 2 in [webserver]."
    )


class CsrfFailed(PackageManagerError):
    """The header that only our own page and scripts send is missing, or Airflow's CSRF token is."""

    code = "csrf-failed"
    title = "The request lacks its protection against forgery"
    default_next_action = (
        "Send the header 'X-Package-Manager: 1' with every change; reload the page if you are in a browser."
    )


class TokenInvalid(PackageManagerError):
    """Unknown token, or one of another principal or operation (not told apart)."""

    code = "token-invalid"
    title = "Invalid or expired token"
    default_next_action = "Make a new plan: it comes with a new token that works once, for one hour, for you alone."


class TokenUsed(PackageManagerError):
    """The token was used before; `operation` says what became of it, so a lost answer is harmless."""

    code = "token-used"
    title = "This token was used already"
    default_next_action = "Look at the operation's state; make a new plan for another change."


class TokenExpired(PackageManagerError):
    """The hour is over."""

    code = "token-expired"
    title = "Invalid or expired token"
    default_next_action = "Make a new plan: it comes with a new token that works once, for one hour, for you alone."


# --- the moment --------------------------------------------------------------------------------------------------


class StalePlan(PackageManagerError):
    """The store changed since the plan; `difference` is a unified diff. The token is unspent."""

    code = "stale-plan"
    title = "The requirements changed since this plan was made"
    default_next_action = "Plan again; nothing was changed."


class OperationInProgress(PackageManagerError):
    """Another operation is active; `operation` and `summary` name it. The token is unspent."""

    code = "operation-in-progress"
    title = "Another change is being applied"
    default_next_action = "Wait until it has ended, then apply again or make a new plan."


class IllegalTransition(PackageManagerError):
    """The operation is not in a state that allows this; `state` names it."""

    code = "illegal-transition"
    title = "The operation is not in a state that allows this"
    default_next_action = "Look at the operation's state."


class TooManyPlans(PackageManagerError):
    """One plan at a time per principal, a few in all; `retry_after` in seconds."""

    code = "too-many-plans"
    title = "Too many plans are being made"
    default_next_action = "Wait for the running plan, or cancel it."


# --- the world ---------------------------------------------------------------------------------------------------


class IndexUnavailable(PackageManagerError):
    """The index cannot be reached, or answers with a server error."""

    code = "index-unavailable"
    title = "The package index cannot be reached"
    retryable = True
    default_next_action = "Check index_url and the network of the server that runs Airflow, then plan again."


class IndexRefused(PackageManagerError):
    """The index answers 401 or 403."""

    code = "index-refused"
    title = "The package index refused access"
    default_next_action = "Check the credentials: environment, netrc, or the file named by index_credentials_file."


class ResolverTimeout(PackageManagerError):
    """Resolution took longer than `planning_timeout`."""

    code = "resolver-timeout"
    title = "Working out the versions took too long"
    default_next_action = "Give narrower versions, or raise planning_timeout."


class PlanAbandoned(PackageManagerError):
    """The process that was planning died or was restarted."""

    code = "plan-abandoned"
    title = "The server stopped while it was planning"
    default_next_action = "Plan again."


class StoreConflict(PackageManagerError):
    """Somebody else wrote the store between our read and our write. Engine and manager turn it into an answer."""

    code = "store-conflict"
    title = "The stored requirements changed at the same moment"
    retryable = True
    default_next_action = "Plan again."


class StampConflict(PackageManagerError):
    """Somebody else stamped the component between our read and our restart."""

    code = "stamp-conflict"
    title = "The component changed at the same moment"
    retryable = True
    default_next_action = "Wait for the other restart, then plan again."


class StoreUnavailable(PackageManagerError):
    """The store cannot be read or written."""

    code = "store-unavailable"
    title = "The stored requirements cannot be read or written"
    retryable = True
    default_next_action = (
        "Check the directory's existence, owner and free space; 'airflow-package-manager doctor' helps."
    )


class ClusterUnavailable(PackageManagerError):
    """The components cannot be observed or restarted."""

    code = "cluster-unavailable"
    title = "The components cannot be reached"
    retryable = True
    default_next_action = "'airflow-package-manager doctor' names what is missing."


class ClusterForbidden(PackageManagerError):
    """A Role lacks a rule; `verb`, `resource`, `name`, `namespace`, and `rule`, the missing lines as YAML to paste."""

    code = "cluster-forbidden"
    title = "The cluster does not permit this to the package manager's account"
    default_next_action = "Add the missing rule to the Role 'airflow-package-manager' of the named namespace."


class AdmissionRefused(PackageManagerError):
    """An admission policy, webhook or quota said no; `kind`, `policy` and `message` name it."""

    code = "admission-refused"
    title = "A rule of the cluster refused this"
    default_next_action = "Ask who owns the named policy, webhook or quota; no package is to blame."


class DatabaseBusy(PackageManagerError):
    """The database did not answer in time, or is locked by another writer."""

    code = "database-busy"
    title = "The database is busy"
    retryable = True
    default_next_action = "Try again in a moment."


class InvalidSetting(PackageManagerError):
    """A setting has a value that is not allowed; `setting`, `value` (masked if secret), `allowed`."""

    code = "invalid-setting"
    title = "A setting has a value that is not allowed"
    default_next_action = "Correct the setting in [package_manager] of airflow.cfg or in the environment."
