"""Tables in Django's admin, to be read: rows are never added, changed or deleted there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from rqcron_events.core.wording import shown
from rqcron_events.ledger import store

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin, AnyPaginator = admin.ModelAdmin, Paginator

__all__ = ["ReadOnly", "SomePages", "text_column"]

ROWS_COUNTED_MAX = 10_000
TEXT_CHARACTERS_MAX = 200
"""Of a text in a list."""


class SomePages(AnyPaginator):
    """Pages of at most so many rows: to count ten million takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:ROWS_COUNTED_MAX].count())


class ReadOnly(ModelAdmin):
    """A table of which nobody changes a row by hand. What is searched has an index."""

    actions = None
    paginator = SomePages
    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.using(store.connection().alias)
        return rows.order_by(*self.get_ordering(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def text_column(name: str, title: str = "") -> Any:
    """A column of a list with a text of others: one line, in which nothing is hidden."""

    @admin.display(description=title or name.replace("_", " "))
    def column(row: Any) -> str:
        text = shown(getattr(row, name))
        return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "..."

    column.__name__ = f"{name}_text"
    return column
