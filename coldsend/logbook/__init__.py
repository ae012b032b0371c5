"""One function per business event; nobody else formats log lines.

Each event has a stable name and fields, listed in docs/events.md. ``log.format = "text"`` writes ``time level
event key=value ..``, ``"json"`` one object a line (``log_lines.py``). Logs go to stderr; they hold ids, never
credentials, bodies, or addresses. Called as ``logbook.<event>``, whichever of these modules it stands in.
"""

from coldsend.logbook.back import *  # noqa: F403
from coldsend.logbook.experiments import *  # noqa: F403
from coldsend.logbook.keeping import *  # noqa: F403
from coldsend.logbook.line import configure as configure
from coldsend.logbook.line import test_clock_in_force as test_clock_in_force
from coldsend.logbook.processes import *  # noqa: F403
from coldsend.logbook.sending import *  # noqa: F403
