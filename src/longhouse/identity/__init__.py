"""Tenants, users, keys and audit: who may do what."""
