"""Tables to be read, from the tables of a study."""
