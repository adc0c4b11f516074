"""Posts, agents, sessions, approvals, tools and models over HTTP.

The server includes the `router` of each module and puts the process's services into `app.state`.
Errors are raised as they are; the server turns them into problems.
"""
