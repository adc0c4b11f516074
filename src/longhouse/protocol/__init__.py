"""The words that server, device and clients speak. No I/O, no clock, no database."""
