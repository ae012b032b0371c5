"""Real servers for the tests: MariaDB, SMTP, HTTP; all on loopback, on free ports, ended by their own pid."""
