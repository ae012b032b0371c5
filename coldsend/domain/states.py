"""States and events of campaigns, tasks and send-list rows, and which moves are legal.

The tables at the bottom are the whole truth: a move that is not in them is refused. A test walks every
state x event pair, and docs/state_machines.md shows the same tables to people.
"""

from __future__ import annotations

from enum import StrEnum

from coldsend.errors import WrongState


class Role(StrEnum):
    OPERATOR = "operator"
    ADMIN = "admin"


class CampaignStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class TaskStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    FINISHED = "finished"
    PAUSED = "paused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RowStatus(StrEnum):
    """Furthest state of one recipient of one task. Reports count the time columns, not this."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED_TO_SEND = "failed_to_send"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


class EventType(StrEnum):
    SEND_API_TRY = "send_api_try"
    SEND_API_SUCCESS = "send_api_success"
    SEND_API_FAIL = "send_api_fail"
    DELIVERED = "delivered"
    OPEN = "open"
    CLICK = "click"
    REPLY = "reply"
    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"


class RowReason(StrEnum):
    """Codes in ``task_contacts.reason`` that the engine itself branches on; others are only counted."""

    CANCELLED = "cancelled"  # skipped: its task or campaign was cancelled, or the task failed
    EXPIRED = "expired"  # failed: only passing failures until its lifetime of retries ran out
    PROCESS_LOST = "process_lost"  # unknown: given up with its process, whose journal nobody has read yet
    KEEPS_SERVICE = "keeps_service"  # sending: waited for this service only, and does again if put back
    MARKED_SENT = "marked_sent"  # sent: its outcome was unknown, and a person decided so
    GIVEN_UP = "given_up"  # failed: its outcome was unknown, and a person decided so
    HEARD_OF = "heard_of"  # sending: something came back of it already, whatever its attempt will say
    AWAY = "away"  # pending: an automatic reply says that the recipient is away until then
    REPLIED = "replied"  # skipped: the recipient, or somebody of the same company, replied to the sequence
    BOUNCED = "bounced"  # skipped: a message of the sequence bounced
    STOPPED = "stopped"  # skipped: a person ended the sequence
    CONDITION = "condition"  # skipped: what its task asks of the messages before it does not hold


class HealthStatus(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"


class FreezeCode(StrEnum):
    """Why a sender service is frozen; decides whether it may be probed after a cool-down."""

    CREDENTIALS = "credentials"  # refused by the server: never probed, waits for new ones
    ERRORS = "errors"  # too many failures in a row: probed after a cool-down
    SUSPENDED = "suspended"  # the provider said so: a person must look
    MANUAL = "manual"


class VariableSource(StrEnum):
    CONTACT_FIELD = "CONTACT_FIELD"
    CONTACT_TAG = "CONTACT_TAG"
    SYSTEM = "SYSTEM"


class SuppressionScope(StrEnum):
    ADDRESS = "address"
    DOMAIN = "domain"
    HASHED = "hashed"  # an erased person: only a keyed hash of the address is left


class SuppressionReason(StrEnum):
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard_bounce"
    MANUAL = "manual"
    IMPORT = "import"
    ERASED = "erased"


class StopReason(StrEnum):
    """Why a sequence ended for somebody before its last message."""

    REPLIED = "replied"
    BOUNCED = "bounced"
    MANUAL = "manual"


class CountKind(StrEnum):
    """Limits besides the daily quota; see ``stores/send_counts.py``."""

    SERVICE_HOUR = "service_hour"
    SERVICE_DOMAIN = "service_domain"  # of one recipient domain in a quota day
    CAMPAIGN_NEW = "campaign_new"  # first messages in a day of the campaign


class CampaignEvent(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    TASKS_ENDED = "tasks_ended"
    REOPEN = "reopen"  # recipients of one of its finished tasks are to be sent to after all


class TaskEvent(StrEnum):
    SCHEDULE = "schedule"  # its campaign starts, or it is created in an active one
    COME_DUE = "come_due"  # start time and plan time have passed
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    EXPAND_AGAIN = "expand_again"  # contacts added later are let in by hand
    RETRY = "retry"  # rows that ended are made pending again by hand: failed or unknown ones
    ROWS_ENDED = "rows_ended"  # nothing pending or sending is left
    PLANNING_FAILED = "planning_failed"


C, T, R = CampaignStatus, TaskStatus, RowStatus

CAMPAIGN_MOVES: dict[tuple[CampaignStatus, CampaignEvent], CampaignStatus] = {
    (C.DRAFT, CampaignEvent.START): C.ACTIVE,
    (C.DRAFT, CampaignEvent.CANCEL): C.CANCELLED,
    (C.ACTIVE, CampaignEvent.PAUSE): C.PAUSED,
    (C.ACTIVE, CampaignEvent.CANCEL): C.CANCELLED,
    (C.ACTIVE, CampaignEvent.TASKS_ENDED): C.COMPLETED,
    (C.PAUSED, CampaignEvent.RESUME): C.ACTIVE,
    (C.PAUSED, CampaignEvent.CANCEL): C.CANCELLED,
    (C.COMPLETED, CampaignEvent.REOPEN): C.ACTIVE,
}

# RESUME leads back to SENDING when the task had started; task_after() knows.
TASK_MOVES: dict[tuple[TaskStatus, TaskEvent], TaskStatus] = {
    (T.DRAFT, TaskEvent.SCHEDULE): T.SCHEDULED,
    (T.DRAFT, TaskEvent.CANCEL): T.CANCELLED,
    (T.SCHEDULED, TaskEvent.COME_DUE): T.SENDING,
    (T.SCHEDULED, TaskEvent.PAUSE): T.PAUSED,
    (T.SCHEDULED, TaskEvent.CANCEL): T.CANCELLED,
    (T.SENDING, TaskEvent.PAUSE): T.PAUSED,
    (T.SENDING, TaskEvent.CANCEL): T.CANCELLED,
    (T.SENDING, TaskEvent.EXPAND_AGAIN): T.SENDING,
    (T.SENDING, TaskEvent.RETRY): T.SENDING,
    (T.SENDING, TaskEvent.ROWS_ENDED): T.FINISHED,
    (T.SENDING, TaskEvent.PLANNING_FAILED): T.FAILED,
    (T.PAUSED, TaskEvent.RESUME): T.SCHEDULED,
    (T.PAUSED, TaskEvent.CANCEL): T.CANCELLED,
    (T.PAUSED, TaskEvent.RETRY): T.PAUSED,
    (T.FINISHED, TaskEvent.EXPAND_AGAIN): T.SENDING,
    (T.FINISHED, TaskEvent.RETRY): T.SENDING,
}

ROW_MOVES: frozenset[tuple[RowStatus, RowStatus]] = frozenset(
    {
        (R.PENDING, R.SENDING),  # intent
        (R.PENDING, R.SKIPPED),
        (R.PENDING, R.FAILED_TO_SEND),  # its lifetime of retries ran out
        (R.SENDING, R.SENT),
        (R.SENDING, R.FAILED_TO_SEND),
        (R.SENDING, R.UNKNOWN),
        (R.SENDING, R.PENDING),  # retry later, or provably never put on the wire
        (R.SENDING, R.SKIPPED),  # could not be composed; nothing was sent
        (R.UNKNOWN, R.SENT),  # late proof, or `unknown mark-sent`
        (R.UNKNOWN, R.PENDING),  # `unknown resend`
        (R.UNKNOWN, R.FAILED_TO_SEND),  # `unknown give-up`
        (R.FAILED_TO_SEND, R.PENDING),  # `task retry`, where the failure was a passing one
        (R.SKIPPED, R.PENDING),  # `campaign unstop`, where a stop had ended it
    }
)

CAMPAIGN_OPEN = frozenset({C.DRAFT, C.ACTIVE, C.PAUSED})  # takes new tasks
TASK_ENDED = frozenset({T.FINISHED, T.FAILED, T.CANCELLED})
RETRYABLE = frozenset({RowReason.EXPIRED})  # failed rows that `task retry` takes up again
ROW_WAITING = frozenset({R.PENDING, R.SENDING})
ROW_SENT = frozenset(
    {R.SENT, R.DELIVERED, R.BOUNCED, R.OPENED, R.CLICKED, R.REPLIED, R.UNSUBSCRIBED, R.COMPLAINED}
)


def campaign_after(status: CampaignStatus, event: CampaignEvent, name: str) -> CampaignStatus:
    """State of campaign ``name`` after ``event``; raises WrongState where the move is not legal."""
    after = CAMPAIGN_MOVES.get((status, event))
    if after is None:
        raise WrongState(
            f"campaign {name!r} is {status}: it cannot {event.replace('_', ' ')}",
            hint=_ways_out([e for s, e in CAMPAIGN_MOVES if s == status], "campaign"),
        )
    return after


def task_after(status: TaskStatus, event: TaskEvent, name: str, *, started: bool = False) -> TaskStatus:
    """State of task ``name`` after ``event``; ``started``: it had begun to send before it was paused."""
    after = TASK_MOVES.get((status, event))
    if after is None:
        raise WrongState(
            f"task {name!r} is {status}: it cannot {event.replace('_', ' ')}",
            hint=_ways_out([e for s, e in TASK_MOVES if s == status], "task"),
        )
    if event == TaskEvent.RESUME and started:
        return T.SENDING
    return after


_BY_HAND = {"start", "pause", "resume", "cancel", "expand_again", "retry"}


def _ways_out(events: list[CampaignEvent] | list[TaskEvent], noun: str) -> str:
    verbs = [f"coldsend {noun} {e.removesuffix('_again')}" for e in events if e in _BY_HAND]
    return f"possible now: {', '.join(verbs)}" if verbs else "this state is final; create a new one instead"
