"""`basicsr benchmark`: one table of many networks under one protocol."""
