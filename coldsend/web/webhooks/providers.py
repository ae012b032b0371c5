"""The providers whose webhooks are understood, by the name that stands in their URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from coldsend.domain.feedback import Feedback
from coldsend.domain.webhook_provider import ENGAGELAB, SENDGRID, SES
from coldsend.web.webhooks import engagelab, sendgrid, ses
from coldsend.web.webhooks.sns import Certificates, Fetch


def _nothing_to_confirm(_payload: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Provider:
    """verify(headers in lower case, body, secret, now): raises Forged; Unreachable where it cannot tell.

    events(payload, now): what a verified payload means. confirm(payload): does what the provider asks for
    before it sends events, and tells whether that was anything; raises Unreachable.
    """

    verify: Callable[[Mapping[str, str], bytes, str, datetime], None]
    events: Callable[[Any, datetime], list[Feedback]]
    confirm: Callable[[Any], bool] = _nothing_to_confirm


def providers(fetch: Fetch) -> Mapping[str, Provider]:
    """All of them. fetch: gets what Amazon's messages lead to."""
    return {
        ENGAGELAB: Provider(engagelab.verify, engagelab.events),
        SENDGRID: Provider(sendgrid.verify, sendgrid.events),
        SES: Provider(
            partial(ses.verify, certificates=Certificates(fetch)),
            ses.events,
            partial(ses.confirm, fetch=fetch),
        ),
    }
