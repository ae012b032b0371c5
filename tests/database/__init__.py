"""The database: schema, migrations, checks; every test on a real SQLite and a real MariaDB."""
