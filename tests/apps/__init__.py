"""Small Django apps that tests discover crons in."""
