"""The scheduler daemon: leader lease, periodic jobs, supervision of sender processes, live progress."""
