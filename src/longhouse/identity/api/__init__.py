"""Identity over HTTP, by subject; `base` has what every room's routes stand on."""
