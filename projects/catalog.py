"""The apps a project can open, with what a person has of each."""

from dataclasses import dataclass

from accounts.models import User
from compute_agent.protocol import ENVIRONMENTS_APP

from .models import AppInstance, Project

#: How people know what is no app of a node: a change of the project's environments.
_CHANGE = {"name": ENVIRONMENTS_APP, "title": "Environments", "icon": "layers"}


@dataclass(frozen=True)
class Offer:
    """An app of the catalog and the person's newest run of it, if there is one to show."""

    name: str
    title: str
    icon: str
    instance: AppInstance | None = None
    category: str = ""


def offers(project: Project, user: User) -> list[Offer]:
    """Return the apps of the project's node (or, before its first start, of its data center)."""
    newest = newest_instances(project, user)
    return [
        Offer(
            app["name"],
            app["title"],
            app["icon"],
            newest.get(app["name"]),
            app.get("category", ""),
        )
        for app in of_project(project)
    ]


def title(project: Project, app: str) -> str:
    """Return the name people see, or ``app`` itself when no node offers it any more."""
    return next((a["title"] for a in of_project(project) if a["name"] == app), app)


def offers_app(project: Project, app: str) -> bool:
    return any(item["name"] == app for item in of_project(project))


def of_project(project: Project) -> list[dict[str, str]]:
    """Return the catalog of the project's node; before its first start, of its data center."""
    if project.node is not None:
        return project.node.offers
    nodes = project.data_center.nodes.all()
    return next((node.offers for node in nodes if node.offers), [])


def newest_instances(project: Project, user: User) -> dict[str, AppInstance]:
    """Return a person's newest run of each app in a project, by the app's name."""
    rows = AppInstance.objects.filter(project=project, user=user).select_related(
        "node", "project__owner"
    )
    rows = rows.exclude(app=ENVIRONMENTS_APP)
    rows = rows.prefetch_related("project__data_center__gateways")
    return {row.app: row for row in reversed(rows.order_by("-requested_at")[:50])}


def url(instance: AppInstance) -> str | None:
    """Return the address at which the app answers, or ``None`` while it does not run."""
    if instance.state != "running" or instance.is_change:
        return None
    gateway = next(iter(instance.project.data_center.gateways.all()), None)
    return gateway.address(instance.path) if gateway else None


def offer_of(instance: AppInstance) -> dict[str, str]:
    """Return how the node offers the app of a run; its bare name when it does no longer."""
    if instance.is_change:
        return _CHANGE
    plain = {"name": instance.app, "title": instance.app, "icon": "app"}
    return next((offer for offer in instance.node.offers if offer["name"] == instance.app), plain)


def titles(project: Project) -> dict[str, str]:
    """Return what people call each app of a project, by its name."""
    return {app["name"]: app["title"] for app in [*of_project(project), _CHANGE]}
