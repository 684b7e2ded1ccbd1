"""One module per subject; each is found and imported by itself."""
