"""Does a name server answer as it should? Type `dns`."""
