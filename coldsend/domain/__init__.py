"""Pure decisions: states, gates, replies, retries. No database, no network, no settings, no clock."""
