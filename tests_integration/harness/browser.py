"""A browser for the pages for operators."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

LINK = re.compile(r'href="([^"#?]+)"')


class Browser:
    """Keeps cookies and follows redirections."""

    def __init__(self) -> None:
        self._open = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar())
        ).open

    def get(self, url: str) -> str:
        with self._open(url, timeout=20) as page:
            return str(page.read().decode())

    def send(self, url: str, **fields: str) -> str:
        """Fill in the form that is at `url`, and send it."""
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(url))[-1:])
        data = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        with self._open(url, data=data, timeout=20) as page:
            return str(page.read().decode())

    def walk(self, start: str, at_most: int) -> Iterator[tuple[str, str]]:
        """The pages that links lead to from `start`, each with its URL."""
        waiting, known = [start], {start}
        while waiting and at_most:
            at_most -= 1
            url = waiting.pop(0)
            page = self.get(url)
            yield url, page
            linked = {urljoin(url, link) for link in LINK.findall(page)}
            new = sorted(each for each in linked - known if each.startswith(start))
            known |= set(new)
            waiting += [each for each in new if "logout" not in each and "/static/" not in each]
