"""What runs of our own client are runs of."""

FILES = "files"
"""The target of a source whose files our own client fetches: each run is a pass over the server."""
