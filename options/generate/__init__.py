"""Writes the family of options files: every teacher, student, scale and method from the tables in this folder.

    python -m options.generate            writes the files that differ
    python -m options.generate --check    writes nothing, names the files that differ, exits 1 if there are any

It also writes options.schema.json, and the line that names it at the top of every file, also of those written by hand.
Run it in the repository; the files lie beside this folder. It does not travel in the wheel.
"""
