"""Whether tasks can be sent as things stand: asked when a campaign starts, and before a task is scheduled
or taken up again. All reasons are found at once, so that a person mends them in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from sqlalchemy.engine import RowMapping

from coldsend.composing import lint, load
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection
from coldsend.domain.finding import Finding
from coldsend.domain.states import HealthStatus
from coldsend.errors import Refused
from coldsend.stores import tasks, template_sets


def findings(connection: Connection, wanted: Sequence[RowMapping], settings: Settings) -> list[Finding]:
    """Errors and warnings about the installation and about each of the ``wanted`` tasks (store rows)."""
    found = _of_settings(settings)
    templates: list[int] = []
    for task in wanted:
        subject = f"task {task['name']!r}"
        items = template_sets.items(connection, task["template_set_id"])
        if not items:
            message = f"its template set {_set_name(connection, task)!r} is empty"
            found.append(
                Finding("error", subject, message, "add one: coldsend template-set add SET TEMPLATE")
            )
        elif task["experiment"] is not None and len(items) < 2:
            message = (
                f"its experiment has nothing to compare: {_set_name(connection, task)!r} holds one template"
            )
            found.append(
                Finding("warning", subject, message, "add one: coldsend template-set add SET TEMPLATE")
            )
        templates += [item["template_id"] for item in items if item["template_id"] not in templates]
        found += _of_services(connection, task, subject)
    variables, fields = load.load_variables(connection), load.sampled_fields(connection)
    for template_id in templates:
        found += lint.problems(load.load_template(connection, template_id), variables, fields)
    return found


def require(sentence: str, found: Sequence[Finding]) -> list[Finding]:
    """The warnings among the findings; Refused with all errors where there are any.

    sentence: what is refused, "campaign 'spring' cannot start".
    """
    errors = [finding for finding in found if finding.severity == "error"]
    if errors:
        lines = [
            f"  {one.subject}: {one.message}" + (f"\n    {one.hint}" if one.hint else "") for one in errors
        ]
        reasons = "\n".join([f"{sentence}:", *lines])
        raise Refused(reasons, hint="mend this and run the same command again")
    return [finding for finding in found if finding.severity == "warning"]


def _of_settings(settings: Settings) -> list[Finding]:
    found = []
    if not settings.postal_address.strip():
        hint = 'set postal_address = ".." in coldsend.toml, or COLDSEND_POSTAL_ADDRESS'
        found.append(Finding("error", "postal_address", "is not set, and every message must show one", hint))
    base_url = settings.web.base_url.strip()
    hint = 'set base_url = "https://.." under [web] in coldsend.toml, or COLDSEND_WEB_BASE_URL'
    if not base_url:
        message = "is not set, and the unsubscribe link of every message begins with it"
        found.append(Finding("error", "web.base_url", message, hint))
    elif urlsplit(base_url).scheme != "https":
        message = f"{base_url} is not https: mail providers do not take one-click unsubscribe from it"
        found.append(Finding("warning", "web.base_url", message, hint))
    return found


def _of_services(connection: Connection, task: RowMapping, subject: str) -> list[Finding]:
    usable = tasks.usable_services(connection, task)
    named = tasks.service_names(connection, [task["id"]]).get(task["id"])
    if not usable:
        which = f"none of its services ({', '.join(named)})" if named else "no sender service"
        message = f"{which} is granted to the user who made it"
        hint = "an admin grants one: coldsend service grant SERVICE USER"
        return [Finding("error", subject, message, hint)]
    if any(s.health_status == HealthStatus.ACTIVE and s.daily_quota > 0 for s in usable):
        return []
    names = ", ".join(service.name for service in usable)
    message = f"nothing goes out for now: every service it may use is frozen or has no daily quota ({names})"
    return [Finding("warning", subject, message, "see: coldsend service list")]


def _set_name(connection: Connection, task: RowMapping) -> str:
    return str(template_sets.find(connection, task["template_set_id"])["name"])
