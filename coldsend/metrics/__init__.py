"""Metrics: what the database knows and what processes count, in the formats that Prometheus reads."""
