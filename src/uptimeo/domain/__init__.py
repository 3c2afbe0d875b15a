"""The words of the field as frozen facts. Pure: no clock, no I/O, standard library only."""
