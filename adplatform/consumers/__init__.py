"""Services that read clean tables: what each of them can take, as rules about names, types, counts and sizes."""
