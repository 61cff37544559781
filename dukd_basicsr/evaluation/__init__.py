"""Numbers and pictures of networks on test sets."""
