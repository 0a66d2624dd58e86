"""Which tables a backup holds. A test holds that each is here, as kept or as left out."""

from typing import Final

#: In an order in which each row finds those that it refers to.
KEPT: Final = (
    "auth.Group",
    "auth.Group_permissions",
    "accounts.User",
    "accounts.User_groups",
    "accounts.User_user_permissions",
    "accounts.FormerName",
    "accounts.ApiToken",
    "accounts.AuditEntry",
    "accounts.Job",
    "admin.LogEntry",
    "datacenters.DataCenter",
    "datacenters.Gateway",
    "datacenters.Node",
    "datacenters.NodeCommand",
    "projects.Project",
    "projects.PathOverride",
    "projects.AppInstance",
    "guardian.UserObjectPermission",
    "guardian.GroupObjectPermission",
)

_MIGRATIONS = "made by the migrations, with keys that differ by database"
_SIGNED_IN = "who was signed in signs in again: a stolen backup lets nobody in"
_MOMENT = "over in a moment"

LEFT_OUT: Final = {
    "contenttypes.ContentType": _MIGRATIONS,
    "auth.Permission": _MIGRATIONS,
    "sessions.Session": _SIGNED_IN,
    "datacenters.GatewaySession": _SIGNED_IN,
    "datacenters.SignInCode": _SIGNED_IN,
    "accounts.SignInAttempts": _MOMENT,
    "accounts.RestoreUnderWay": _MOMENT,
    "datacenters.Notice": _MOMENT,
    "projects.AccessQuestion": _MOMENT,
}

#: Columns of kept tables. ``last_login`` is set when restoring: a link that sets a password holds
#: it, so that none is good any more, not even one that was used after the backup was made.
COLUMNS_LEFT_OUT: Final = {
    "accounts.User": {"last_login"},
    # What apps print is anything, secrets of their people included.
    "projects.AppInstance": {"log"},
}
