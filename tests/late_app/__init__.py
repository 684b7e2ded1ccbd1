"""An app under which an event type becomes readable once the file RQCRON_TEST_LATE exists."""
