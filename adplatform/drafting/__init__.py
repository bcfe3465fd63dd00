"""From a sample of a file to the contract of a feed, with the reason of each guess: pure functions over texts, but for
``sample`` (reads the file), ``reads`` and ``trial`` (ask the transform itself)."""
