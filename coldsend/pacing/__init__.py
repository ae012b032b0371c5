"""HOW FAST: quota days, throttles, and which sender service takes a row."""
