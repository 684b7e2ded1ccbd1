"""A library that had classes for django-cron."""
