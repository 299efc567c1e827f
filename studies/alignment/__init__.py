"""What alignment with the features of a frozen network is worth."""
