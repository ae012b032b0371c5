"""Several hosts in one database URL."""

from __future__ import annotations

import pytest

from coldsend.config import hosts

ONE = "mysql://user:p,w@db1:3306/coldsend?ssl_ca=/etc/ca.pem"


@pytest.mark.parametrize(
    ("url", "first", "others"),
    [
        (ONE, ONE, ()),
        ("sqlite:///a,b.db", "sqlite:///a,b.db", ()),
        ("mysql://u:p@a,b/d", "mysql://u:p@a/d", ("b",)),
        ("mysql://u:p@a:1,b:2,c/d?x=y", "mysql://u:p@a:1/d?x=y", ("b:2", "c")),
        ("mariadb://[::1]:1,[::2]/d", "mariadb://[::1]:1/d", ("[::2]",)),
    ],
)
def test_the_first_host_keeps_the_url_and_the_others_are_split_off(
    url: str, first: str, others: tuple[str, ...]
) -> None:
    assert hosts.split(url) == (first, others)


@pytest.mark.parametrize(
    "url", ["mysql://u:p@a,/d", "mysql://u:p@a,b:x/d", "mysql://u:p@,b/d", "mysql://u@a,b c/d"]
)
def test_what_is_not_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        hosts.split(url)


@pytest.mark.parametrize(
    ("host", "address"),
    [("a", ("a", 3306)), ("a:1", ("a", 1)), ("[::1]", ("::1", 3306)), ("[::1]:7", ("::1", 7))],
)
def test_a_host_without_a_port_has_the_usual_one(host: str, address: tuple[str, int]) -> None:
    assert hosts.address(host, 3306) == address
