"""An organization is a name or an https URL, and nothing else."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldbake.azdo.errors import AzureDevOpsError, Kind
from goldbake.azdo.organization import organization_url, tokens_page
from goldbake.errors import Exit, UsageError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("foo", "https://dev.azure.com/foo"),
        (" foo\n", "https://dev.azure.com/foo"),
        ("Foo-2", "https://dev.azure.com/Foo-2"),
        ("https://dev.azure.com/foo", "https://dev.azure.com/foo"),
        ("https://dev.azure.com/foo/", "https://dev.azure.com/foo"),
        ("HTTPS://dev.azure.com:443/foo", "https://dev.azure.com/foo"),
        ("https://foo.visualstudio.com", "https://foo.visualstudio.com"),
        ("https://tfs.example:8443/tfs/Default%20Collection/", "https://tfs.example:8443/tfs/Default%20Collection"),
        ("https://[::1]:8443/demo", "https://[::1]:8443/demo"),
        ("https://127.0.0.1:8443/demo", "https://127.0.0.1:8443/demo"),
    ],
)
def test_what_an_organization_can_be(text: str, url: str) -> None:
    assert organization_url(text) == url
    assert organization_url(url) == url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' cannot be an organization: it is empty"),
        ("http://tfs.example/foo", r"'http://tfs\.example/foo' .* write https://tfs\.example/foo"),
        ("ftp://tfs.example/foo", "only sent by https"),
        ("dev.azure.com/foo", r"is it meant as https://dev\.azure\.com/foo\?"),
        ("https://dev.azure.com", "the organization is missing"),
        ("https://dev.azure.com/foo/project/_build", r"goes on after the organization; write https://dev\.azure\.com/foo$"),
        ("https://dev.azure.com/foo?x=1", "goes on with"),
        ("https://tfs.example/foo#x", "goes on with"),
        ("https:///foo", "its host is none"),
        ("https://host:99999/foo", "it is no URL"),
        ("https://host:0/foo", "its host is none"),
        ("https://[::1/foo", "it is no URL"),
        ("https://tfs.example/a b", "its path cannot be"),
        ("https://tfs.example//a", "its path cannot be"),
        ("https://tfs.example/ä", "letters that no address has"),
        ("https://ho\u0456t/foo", "letters that no address has"),
        ("https://ho_t/foo", "its host is none"),
        ("-foo", "no hyphen at an end"),
        ("a b", "letters, digits and hyphens"),
        ("f" * 51, "at most 50"),
        ("foo\x1b[2J.x", "letters that no address has"),
    ],
)
def test_what_an_organization_cannot_be(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        organization_url(text)
    assert caught.value.exit_code is Exit.USAGE
    assert "https://dev.azure.com/NAME" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["https://me:hunter22@dev.azure.com/foo", "https://hunter22@dev.azure.com/foo", "https://x:hunter22@[::1/foo"]
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(AzureDevOpsError) as caught:
        organization_url(url)
    assert caught.value.kind is Kind.ORGANIZATION_INVALID
    assert "hunter22" not in caught.value.message


@given(st.text() | st.text().map("https://".__add__) | st.from_regex(r"https?://[^/]*(/.*)?", fullmatch=True))
def test_every_text_is_a_url_that_can_be_asked_or_an_error(text: str) -> None:
    url, message = "https://none", "none"
    try:
        url = organization_url(text)
    except AzureDevOpsError as error:
        message = error.message
    assert message.isprintable()
    assert len(message) < 1000
    assert httpx.URL(f"{url}/_apis").scheme == "https"
    assert organization_url(url) == url


def test_the_page_of_tokens_is_the_organizations() -> None:
    assert tokens_page("https://dev.azure.com/foo") == "https://dev.azure.com/foo/_usersSettings/tokens"
    assert tokens_page() == "https://dev.azure.com/NAME/_usersSettings/tokens"
