"""`basicsr upcycle`: the teacher asked once for a whole training set."""
