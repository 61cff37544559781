"""What an options file must satisfy beyond the types of its keys."""
