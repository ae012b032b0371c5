"""Setting coldsend up and keeping it in order: `init`, `key rotate`, `doctor`."""
