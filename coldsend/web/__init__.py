"""What comes back over HTTP: opens, clicks, unsubscribes, providers' webhooks. Handed to ``feedback``."""
