"""The keys of an options file with their types, defaults and documentation."""
