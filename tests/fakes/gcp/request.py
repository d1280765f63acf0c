"""One request, as the functions that carry it out see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.gcp.book import Book, Document
from tests.fakes.gcp.calls import Call
from tests.fakes.gcp.refused import missing


@dataclass
class Request:
    """A request that keeps to the description."""

    book: Book
    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Document
    call: Call = field(default_factory=lambda: Call(0, ""))

    @property
    def project(self) -> str:
        return self.path["project"]

    @property
    def scope(self) -> str:
        """`projects/P/zones/Z`, `projects/P/regions/R` or `projects/P/global`."""
        for kind in ("zone", "region"):
            if kind in self.path:
                return f"projects/{self.project}/{kind}s/{self.path[kind]}"
        return f"projects/{self.project}/global"

    @property
    def table(self) -> str:
        """The kind of resource: `instances` in compute.instances.get."""
        return self.method.split(".")[1]

    def find(self, name: str, table: str = "") -> tuple[str, Document]:
        """A resource of this scope by name or id. Raises Refused."""
        table = table or self.table
        path = f"{self.scope}/{table}/{name}"
        rows = self.book.tables[table]
        if path in rows:
            return path, rows[path]
        for other, row in rows.items():
            if row.get("id") == name and other.startswith(f"{self.scope}/"):
                return other, row
        raise missing(path)


Handler = Callable[[Request], Any]
Methods = Mapping[str, Handler]
"""A method's id → what carries it out and gives the answer's document."""
