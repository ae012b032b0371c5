"""Row SQL, one file per noun. Functions take a Connection and never commit; they decide nothing.

Conventions: ``by_name_or_id`` raises NotFound with a message that names the thing; functions that change a
state take the state they expect and return whether the row was still in it (compare and set).
"""
