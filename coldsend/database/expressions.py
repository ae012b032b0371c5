"""SQL expressions that each dialect spells in its own way. Kept beside ``dialect.py``, which has the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from coldsend.database.types import UtcDateTime


class json_text(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """``json_text(column, "$.path")``: the value at the path as text, NULL where absent."""

    type = sa.String()
    inherit_cache = True
    name = "json_text"


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: Any, **options: Any) -> str:
    document, path = element.clauses
    return f"json_extract({compiler.process(document, **options)}, {compiler.process(path, **options)})"


@compiles(json_text, "mysql")
@compiles(json_text, "mariadb")
def _json_text_mysql(element: json_text, compiler: Any, **options: Any) -> str:
    document, path = element.clauses
    return f"JSON_VALUE({compiler.process(document, **options)}, {compiler.process(path, **options)})"


class exact_text(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """``exact_text(value)``: text that compares byte by byte, case, accents and trailing spaces included."""

    type = sa.String()
    inherit_cache = True
    name = "exact_text"


@compiles(exact_text, "sqlite")
def _exact_text_sqlite(element: exact_text, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(exact_text, "mysql")
@compiles(exact_text, "mariadb")
def _exact_text_mysql(element: exact_text, compiler: Any, **options: Any) -> str:
    # Every utf8mb4 collation of MariaDB that is not binary pads with spaces or folds; bytes do neither.
    return f"CAST({compiler.process(element.clauses, **options)} AS BINARY)"


class number_in(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """``number_in(text)``: the number a text is (``-?digits[.digits]``) as a float, NULL for other texts."""

    type = sa.Float()
    inherit_cache = True
    name = "number_in"


@compiles(number_in, "sqlite")
def _number_in_sqlite(element: number_in, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    digits = f"substr({text}, 1 + (substr({text}, 1, 1) = '-'))"
    is_number = (
        f"{digits} GLOB '[0-9]*' AND {digits} NOT GLOB '*[^0-9.]*' "
        f"AND {digits} NOT GLOB '*.*.*' AND {digits} NOT GLOB '*.'"
    )
    return f"CASE WHEN {is_number} THEN CAST({text} AS REAL) END"


@compiles(number_in, "mysql")
@compiles(number_in, "mariadb")
def _number_in_mysql(element: number_in, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return rf"CASE WHEN {text} REGEXP '^-?[0-9]+([.][0-9]+)?\\z' THEN CAST({text} AS DOUBLE) END"


class is_member(FunctionElement[bool]):  # noqa: N801 - reads as the SQL it is
    """``is_member(exists, among)``: one condition in two forms; each database gets the one it is good at.

    exists: a correlated EXISTS. among: the same as ``column IN (SELECT ..)``. MariaDB weighs its plans only
    for IN (in INSERT .. SELECT it asks EXISTS row by row); SQLite would gather the whole set for IN.
    """

    type = sa.Boolean()
    inherit_cache = True
    name = "is_member"


@compiles(is_member, "sqlite")
def _is_member_sqlite(element: is_member, compiler: Any, **options: Any) -> str:
    exists, _ = element.clauses
    return str(compiler.process(exists, **options))


@compiles(is_member, "mysql")
@compiles(is_member, "mariadb")
def _is_member_mysql(element: is_member, compiler: Any, **options: Any) -> str:
    _, among = element.clauses
    return f"({compiler.process(among, **options)})"


class lower_text(FunctionElement[str]):  # noqa: N801 - reads as the SQL function it is
    """``lower_text(value)``: text, JSON or octets as text in lower case, to look for a part of it by bytes.

    Octets that are no UTF-8 become question marks or stay. On SQLite only ASCII letters change their case.
    """

    type = sa.String()
    inherit_cache = True
    name = "lower_text"


@compiles(lower_text, "sqlite")
def _lower_text_sqlite(element: lower_text, compiler: Any, **options: Any) -> str:
    return f"lower(CAST({compiler.process(element.clauses, **options)} AS TEXT))"


@compiles(lower_text, "mysql")
@compiles(lower_text, "mariadb")
def _lower_text_mysql(element: lower_text, compiler: Any, **options: Any) -> str:
    text = f"CONVERT({compiler.process(element.clauses, **options)} USING utf8mb4)"
    return f"LOWER({text} COLLATE utf8mb4_bin)"


class hour_number(FunctionElement[int]):  # noqa: N801 - reads as the SQL function it is
    """``hour_number(moment)``: hours since 1970 began, of the hour in which a stored time lies."""

    type = sa.Integer()
    inherit_cache = True
    name = "hour_number"


@compiles(hour_number, "sqlite")
def _hour_number_sqlite(element: hour_number, compiler: Any, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER) / 3600"


@compiles(hour_number, "mysql")
@compiles(hour_number, "mariadb")
def _hour_number_mysql(element: hour_number, compiler: Any, **options: Any) -> str:
    return f"TIMESTAMPDIFF(HOUR, '1970-01-01', {compiler.process(element.clauses, **options)})"


class hours_between(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """``hours_between(earlier, later)``: hours from one time to another, below 0 where it is earlier."""

    type = sa.Float()
    inherit_cache = True
    name = "hours_between"


@compiles(hours_between, "sqlite")
def _hours_between_sqlite(element: hours_between, compiler: Any, **options: Any) -> str:
    earlier, later = (f"julianday({compiler.process(one, **options)})" for one in element.clauses)
    return f"(({later} - {earlier}) * 24)"


@compiles(hours_between, "mysql")
@compiles(hours_between, "mariadb")
def _hours_between_mysql(element: hours_between, compiler: Any, **options: Any) -> str:
    earlier, later = (compiler.process(one, **options) for one in element.clauses)
    return f"(TIMESTAMPDIFF(SECOND, {earlier}, {later}) / 3600)"


class later_by(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """``later_by(moment, number, divisor)``: the moment so many whole seconds (number / divisor) later."""

    type = UtcDateTime()
    inherit_cache = True
    name = "later_by"


@compiles(later_by, "sqlite")
def _later_by_sqlite(element: later_by, compiler: Any, **options: Any) -> str:
    moment, number, divisor = (compiler.process(one, **options) for one in element.clauses)
    seconds = f"(({number}) / ({divisor})) || ' seconds'"
    return f"(strftime('%Y-%m-%d %H:%M:%S', substr({moment}, 1, 19), {seconds}) || substr({moment}, 20))"


@compiles(later_by, "mysql")
@compiles(later_by, "mariadb")
def _later_by_mysql(element: later_by, compiler: Any, **options: Any) -> str:
    moment, number, divisor = (compiler.process(one, **options) for one in element.clauses)
    return f"TIMESTAMPADD(SECOND, ({number}) DIV ({divisor}), CAST({moment} AS DATETIME(6)))"
