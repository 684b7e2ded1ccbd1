"""These tests are about PostgreSQL: ``tests/conftest.py`` leaves them out on SQLite."""
