"""What is checked of machine, networks and disk before a run creates anything."""
