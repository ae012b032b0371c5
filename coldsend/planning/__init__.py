"""WHEN: campaigns and tasks change state, and a task becomes its send list."""
