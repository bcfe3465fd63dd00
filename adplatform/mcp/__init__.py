"""A server of the Model Context Protocol for assistants: it reads where tables stand and what is in them, and changes
nothing."""
