"""What came back decides what goes out next: the one place that acts on it, whatever its source."""
