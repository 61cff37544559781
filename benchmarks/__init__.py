"""Benchmarks: what is measured, its command and where its number is quoted stand in README.md beside this file."""
