"""Feeds as data contracts in the Open Data Contract Standard, version 3, and contracts of others as feeds."""
