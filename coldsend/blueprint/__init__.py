"""A whole setup in one file: `coldsend apply` makes the database what the file says, `export` writes one.

``keys`` and one module a kind say what may stand in a file; ``reading`` reads it, ``applying`` compares it
with the database and does what is missing, ``exporting`` writes the database down in the same words.
"""
