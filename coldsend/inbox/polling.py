"""Read what is new in mailboxes: one after another message, each taken once.

A mailbox is read by one process at a time, which holds its lease; should two read at once all the same, the
mailbox's place, which moves with each message, decides. A mailbox that fails is tried again later and later;
one whose credentials are refused waits for new ones (``domain/mailbox.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from sqlalchemy.engine import RowMapping

from coldsend import logbook
from coldsend.config.secrets import KeyRing, mailbox_owner
from coldsend.config.settings import Settings
from coldsend.database import administration
from coldsend.database.engine import Connection as DatabaseConnection
from coldsend.database.engine import Database
from coldsend.domain.inbox import MessageKind
from coldsend.domain.mailbox import Mailbox, Trouble, gives_up_message, is_due
from coldsend.errors import ColdsendError, NotFound, Refused, Unreachable
from coldsend.feedback.applier import Applier, applier_of
from coldsend.inbox import reading
from coldsend.inbox.connection import Connection, MailboxError, opened
from coldsend.inbox.reading import Fetched
from coldsend.inbox.storing import Overtaken, Place, Taken, own_addresses, take
from coldsend.inbox.wire import Stopped
from coldsend.stores import mailboxes

T = TypeVar("T")

LEASE_SECONDS = 60.0
AT_ONCE = 4  # mailboxes that are read side by side
# In the statement that stores a message it is there twice, as it came and its text, and escaping may double
# both; so much is for the rest.
BESIDES = 64 * 1024
LOOK_BACK = timedelta(days=1)  # the day of a message is that of its server's clock


@dataclass(slots=True)
class Polled:
    """What reading one mailbox came to.

    state: "read" to its end, "busy": another process reads it, "failed" (``error`` tells why), "stopped",
    "removed": it is no longer there.
    read: messages looked at. kinds: of those about mail of ours. repeated: copies of what was here before.
    """

    mailbox: str
    state: Literal["read", "busy", "failed", "stopped", "removed"] = "read"
    read: int = 0
    kinds: Counter[MessageKind] = field(default_factory=Counter)
    repeated: int = 0
    unreadable: int = 0
    error: ColdsendError | None = None
    busy_until: datetime | None = None

    def count(self, taken: Taken) -> None:
        self.read += 1
        if taken.repeated:
            self.repeated += 1
        elif taken.kind is not None:
            self.kinds[taken.kind] += 1
            self.unreadable += bool(taken.error)


@dataclass(frozen=True)
class Poller:
    """Reads mailboxes. now: gives the time. should_stop: asked often; what was read by then stays read.

    on_message: called after each message, by several threads.
    """

    database: Database
    settings: Settings
    keys: KeyRing
    now: Callable[[], datetime]
    should_stop: Callable[[], bool] = lambda: False
    on_message: Callable[[], None] = lambda: None

    def poll_due(self) -> list[Polled]:
        """Read all mailboxes that are enabled and not waiting after an error."""
        return self.poll(self.due())

    def due(self) -> list[int]:
        """Ids of the mailboxes that may be read now without being asked to."""
        now, seconds = self.now(), self.settings.inbox.poll_seconds
        with self.database.read() as connection:
            return [found.id for found in mailboxes.enabled(connection) if is_due(found, now, seconds)]

    def poll(self, mailbox_ids: list[int]) -> list[Polled]:
        """Read these mailboxes, a few at a time, whatever they are waiting for. Unreachable: no database."""
        if len(mailbox_ids) <= 1:
            return [self._poll_one(mailbox_id) for mailbox_id in mailbox_ids]
        with ThreadPoolExecutor(min(AT_ONCE, len(mailbox_ids)), "mailbox") as threads:
            return list(threads.map(self._poll_one, mailbox_ids))

    def _poll_one(self, mailbox_id: int) -> Polled:
        def work(connection: DatabaseConnection) -> tuple[RowMapping, datetime, bool]:
            found = mailboxes.find(connection, mailbox_id)
            return found, *mailboxes.take_lease(connection, mailbox_id, self.now(), LEASE_SECONDS)

        with self.database.read() as connection:
            applier = applier_of(connection, self.settings, self.keys)
            own = own_addresses(connection)
            most = self._most_bytes(connection)
        try:
            row, until, ours = self.database.run(work)
        except NotFound:  # somebody has removed it since it was listed: the others are read all the same
            return Polled(str(mailbox_id), "removed")
        mailbox = mailboxes.as_mailbox(row)
        polled = Polled(mailbox.name)
        if not ours:
            polled.state, polled.busy_until = "busy", until
            return polled
        visit = _Visit(self, mailbox, applier, own, polled, until, most)
        try:
            sealed = row["credentials"]
            credentials = self.keys.open(sealed, mailbox_owner(mailbox.id)) if sealed else {}
            with opened(mailbox, credentials, self.settings.inbox, self.should_stop) as server:
                visit.read(server)
        except Stopped:
            polled.state = "stopped"
        except Overtaken:
            polled.state = "busy"
        except Unreachable:
            raise  # the database is away: that is no fault of the mailbox
        except ColdsendError as error:
            self._failed(mailbox, polled, error)
        except Exception as error:
            logbook.unexpected_error(f"mailbox {mailbox.name}", error)
            self._failed(mailbox, polled, ColdsendError(f"this is a bug: {type(error).__name__}"))
        else:
            self._succeeded(mailbox, polled)
        finally:
            visit.leave()
        return polled

    def _most_bytes(self, connection: DatabaseConnection) -> int:
        """As configured; less where a longer message would not fit into a statement, and stop everything."""
        wanted = self.settings.inbox.message_kb * 1024
        largest = administration.largest_statement(connection)
        return wanted if largest is None else min(wanted, (largest - BESIDES) // 4)

    def _failed(self, mailbox: Mailbox, polled: Polled, error: ColdsendError) -> None:
        trouble = Trouble.CONNECT
        if isinstance(error, MailboxError):
            trouble = error.trouble
        elif type(error) is Refused:
            trouble = Trouble.CREDENTIALS  # they do not open with the keys we have
        polled.state, polled.error = "failed", error
        errors = self.database.run(
            lambda connection: mailboxes.failed(
                connection, mailbox.id, trouble, error.message, self.now(), first=polled.read > 0
            )
        )
        logbook.mailbox_failed(mailbox.name, mailbox.id, trouble, error.message, errors=errors)

    def _succeeded(self, mailbox: Mailbox, polled: Polled) -> None:
        self.database.run(lambda connection: mailboxes.succeeded(connection, mailbox.id, self.now()))
        if mailbox.consecutive_errors:
            logbook.mailbox_recovered(mailbox.name, mailbox.id)
        if polled.read:
            kinds = {kind.value: count for kind, count in polled.kinds.items()}
            logbook.mailbox_read(mailbox.name, mailbox.id, polled.read, kinds, repeated=polled.repeated)


@dataclass
class _Visit:
    """One reading of one mailbox, by the process that holds its lease."""

    poller: Poller
    mailbox: Mailbox
    applier: Applier
    own: frozenset[str]
    polled: Polled
    lease_until: datetime
    most_bytes: int  # that are read of a message

    def read(self, connection: Connection) -> None:
        """Take everything that is new. MailboxError, Overtaken or Stopped; what was taken stays taken."""
        place = self._begin(connection)
        uids = reading.uids_after(connection, place.uid)
        for start in range(0, len(uids), reading.AT_ONCE):
            some = uids[start : start + reading.AT_ONCE]
            place = self._moved(self._read_some(connection, some, place), some[-1])

    def _begin(self, connection: Connection) -> Place:
        """Where reading goes on; in a folder that is new to us, some days ago."""
        mailbox, now = self.mailbox, self.poller.now()
        folder = reading.examine(connection, mailbox.folder)
        if not folder.is_another(mailbox.uid_validity, mailbox.last_uid):
            assert mailbox.last_uid is not None
            return Place(mailbox, folder.uid_validity, mailbox.last_uid)
        since = now - timedelta(days=self.poller.settings.inbox.first_days)
        if mailbox.polled_at is not None:
            since = min(since, mailbox.polled_at)
        last_uid = reading.last_before(connection, folder, since - LOOK_BACK)
        begun = self._run(lambda c: mailboxes.begin_folder(c, mailbox, folder.uid_validity, last_uid, now))
        if not begun:
            raise Overtaken
        if mailbox.uid_validity is not None:
            logbook.mailbox_begun_anew(mailbox.name, mailbox.id)
        return Place(mailbox, folder.uid_validity, last_uid)

    def _read_some(self, connection: Connection, uids: list[int], place: Place) -> Place:
        limit = self.most_bytes
        waiting = reading.described(connection, uids, self.poller.now())
        if waiting and self.polled.read == 0 and gives_up_message(self.mailbox):
            place = self._take(
                place, Fetched(waiting.pop(0), None, "the connection broke over it, again and again")
            )
        for batch in reading.batches(waiting, limit, one_by_one=self.mailbox.consecutive_errors > 0):
            for message in reading.fetched(connection, batch, limit):
                if self.poller.should_stop():
                    raise Stopped
                place = self._take(place, message)
            # Else a message that breaks the connection would never come to be the first one.
            place = self._moved(place, batch[-1].uid)
            self._renew()
        return place

    def _take(self, place: Place, message: Fetched) -> Place:
        now = self.poller.now()
        taken = take(self.poller.database, place, message, now, self.applier, self.own)
        self.polled.count(taken)
        self.poller.on_message()
        return place if taken.kind is None else replace(place, uid=message.waiting.uid)

    def _moved(self, place: Place, uid: int) -> Place:
        """The place behind this message: what was passed over needs not be looked at again."""
        if uid <= place.uid:
            return place
        now = self.poller.now()
        moved = self._run(
            lambda c: mailboxes.advance(c, self.mailbox.id, place.uid_validity, place.uid, uid, now)
        )
        if not moved:
            raise Overtaken
        return replace(place, uid=uid)

    def _renew(self) -> None:
        now, until = self.poller.now(), self.lease_until
        if (until - now).total_seconds() > LEASE_SECONDS / 2:
            return
        later = self._run(lambda c: mailboxes.renew_lease(c, self.mailbox.id, until, now, LEASE_SECONDS))
        if later is None:
            raise Overtaken
        self.lease_until = later

    def leave(self) -> None:
        """Let others read."""
        now = self.poller.now()
        self._run(lambda c: mailboxes.give_lease_back(c, self.mailbox.id, self.lease_until, now))

    def _run(self, work: Callable[[DatabaseConnection], T]) -> T:
        return self.poller.database.run(work)
