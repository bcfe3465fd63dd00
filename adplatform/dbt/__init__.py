"""Clean tables as a dbt project knows them: sources, and models in the shape that a package of others reads."""
