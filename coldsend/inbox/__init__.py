"""What comes back by mail: read from mailboxes, told apart, handed to ``feedback``."""
