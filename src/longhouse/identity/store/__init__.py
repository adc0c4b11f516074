"""Identity's statements by subject: synchronous functions on a connection, run by the services.

They decide nothing and commit nothing. Those that find users, logins and links do so before any
tenant is known, so they take no proof of one: what they return is not yet proof.
"""
