"""Numbers that judge reconstructions: distances of distributions and of single images."""
