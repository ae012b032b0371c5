"""Sending through the e-mail REST API of EngageLab, which is Jiguang (极光) outside the mainland.

What was looked up, and where (2026-11): EngageLab's pages "Deliverlies", "General rules" and "Account
management" under docs/email/rest-api, in English and Chinese, and the field names of its Python and Node
packages called engagelab-email. What they say and this package relies on:

* ``POST {base}/v1/mail/send``, JSON in UTF-8, HTTP Basic ``api_user:api_key``. Two data centres with a base
  URL each, Singapore (the default) and Turkey.
* ``{"from", "to": [..], "body": {"subject", "content": {"html", "text"}, "reply_to": [..], "headers": {..},
  "settings": {..}}, "custom_args": {..}, "request_id"}``. Subject at most 256 characters, headers and
  custom_args 1 KB each, reply_to three addresses. Names of headers that the API sets itself are refused:
  see ``payload.OWN_HEADERS``.
* settings: send_mode 0 (each recipient apart), return_email_id, sandbox, and tracking of opens, clicks and
  unsubscribes, which coldsend switches off because it does these itself.
* Accepted: 200 and ``{"email_ids": [..], "request_id"}``. Refused: ``{"code", "message"}`` with 400 (the
  request is wrong), 401 (code 30000, authentication), 404 (no such resource) or 500: "it cannot be told
  whether the request was carried out". So a 500 is ``unknown`` here and is never sent again by itself.

No list of error codes is published beyond 30000, so ``answers`` goes by status and by what messages say.

``payload`` makes the request, ``answers`` reads what comes back, ``channel`` sends.
"""

DEFAULT_API_URL = "https://email.api.engagelab.cc"

# Name of the custom argument that carries a row's token; webhooks repeat it.
ROW_ARGUMENT = "coldsend"
