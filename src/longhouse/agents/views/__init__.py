"""What the room's API takes and answers: one model for each body, and how values become them.

Used by `api` only; the OpenAPI document and the console's client are made from these. They check
shapes and sizes; what a value means is checked by the services.
"""
