from __future__ import annotations

from django.db import models


class Site(models.Model):
    """A page that is checked."""

    name = models.CharField(max_length=50, unique=True)
    path = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name


class Check(models.Model):
    """One look at a site."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE)
    at = models.DateTimeField(auto_now_add=True)
    status = models.IntegerField(null=True)
    """HTTP status, or null when there was no answer."""
    milliseconds = models.IntegerField()
    reported = models.BooleanField(default=False)
    """A digest with it was sent."""

    def __str__(self) -> str:
        return f"{self.site}: {self.status or 'no answer'} in {self.milliseconds} ms"
