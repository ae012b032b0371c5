"""What mail providers tell us by themselves: requests to ``/w/<provider>/<service token>``.

One file a provider, each with two functions. ``verify(headers, body, secret, now)`` raises
:class:`~coldsend.web.webhooks.proof.Forged` unless the request comes from the provider and is new enough;
``events(payload, now)`` makes :class:`~coldsend.domain.feedback.Feedback` of what it says, whatever JSON that
is. ``providers`` lists them, ``receiving`` keeps the request as it came and applies it in one transaction,
``routes`` answers.

How a provider's event finds its message: by the row's token, which is the local part of the Message-ID
(SendGrid's ``smtp-id``, the headers that Amazon SES quotes) or a custom argument (EngageLab); else by the
recipient's address. Adding one: docs/webhooks.md.
"""
