"""Devices, runs and leases: where work runs and who holds it."""
