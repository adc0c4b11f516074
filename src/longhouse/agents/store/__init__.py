"""The statements on posts, agents, sessions and approvals; a journal's own are in `journal`.

Called by the services and the worker. Every function that reads for somebody takes a proved
`TenantId` and finds nothing of another tenant. They decide nothing and commit nothing.
"""
