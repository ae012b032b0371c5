"""``coldsend metrics``: what the database knows, in the format that Prometheus reads."""

from __future__ import annotations

from coldsend import clock
from coldsend.cli.context import current
from coldsend.cli.noun import noun, reads
from coldsend.domain.access import require_admin
from coldsend.metrics import collecting, survey

app = noun("Metrics for Prometheus.")


@reads(
    app,
    "coldsend metrics show",
    "coldsend metrics show > coldsend.prom.new && mv coldsend.prom.new /var/lib/node_exporter/coldsend.prom",
)
def show() -> None:
    """Print what the database knows about services, tasks, processes and waiting rows, as metrics.

    For cron and the textfile collector of the node exporter. What processes count themselves is served by
    `scheduler run` and `worker run` where [metrics] port is set. With --json: a list of objects with name,
    labels and value. For admins: it shows all services.
    """
    run = current()
    require_admin(run.actor, "see metrics")
    readings = survey.of_database(run.database, clock.now(), run.settings.delivery.lease_seconds)
    if run.out.json:
        run.out.data(survey.as_documents(readings))
    else:
        run.out.plain(collecting.text_of(readings).rstrip("\n"))
