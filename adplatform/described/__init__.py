"""Clean tables as tools of others are told of them, and files that replace nobody's."""
