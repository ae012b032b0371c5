"""Alerts: what is wrong or done is noticed, and told to logs, mailboxes, webhooks and chats."""
