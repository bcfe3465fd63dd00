"""What services that read clean tables are to have for them, declared by ``consumers`` of a feed: compared with what is
there, made where it is missing, changed where it differs, and never deleted."""
