"""One file for each command: ``manage.py help`` lists them."""
