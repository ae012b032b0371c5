"""Architecture is a test: layers, sizes, docs, and what ships in the wheel."""
