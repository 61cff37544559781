"""Tests: the folders mirror the package; what they share is toys.py and upcycled.py."""
