"""Settings (TOML and environment) and secrets."""
