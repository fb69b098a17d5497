"""What is typed into a subscriber's browser is made a URL as browsers do."""

from __future__ import annotations

import pytest

from shutdownlab.config.problems import BadInput
from shutdownlab.web.somebody import page_address


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://www.bbc.com/", "https://www.bbc.com/"),
        ("kaspi.kz", "https://kaspi.kz"),
        ("  http://kaspi.kz/a?b=c#d \n", "http://kaspi.kz/a?b=c#d"),
        ("HTTPS://kaspi.kz:8443/", "https://kaspi.kz:8443/"),
        (
            "қазақстан.kz/пример?q=да",
            "https://xn--80aaa0a6awh12ed.kz/%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80?q=%D0%B4%D0%B0",
        ),
        ("https://a.kz/two words%20more", "https://a.kz/two%20words%20more"),
        ("[2001:db8::1]:8080/", "https://[2001:db8::1]:8080/"),
        ("198.51.100.7", "https://198.51.100.7"),
    ],
)
def test_an_address_is_completed_and_encoded(typed: str, url: str) -> None:
    assert page_address(typed) == url


@pytest.mark.parametrize("typed", ["", "   ", "ftp://a.kz/", "https://", "file:///etc/passwd", "two words", "a" * 3000])
def test_what_is_no_address_of_a_page_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match="expected an address of a page"):
        page_address(typed)
