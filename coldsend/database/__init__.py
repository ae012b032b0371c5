"""Engine, dialect differences, tables, migrations. Nothing above this folder branches on the dialect."""
