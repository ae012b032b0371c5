"""WHO: contacts, imports, suppressions, and recipient rules compiled to SQL."""
