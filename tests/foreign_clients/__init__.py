"""OAuth clients that nobody here wrote complete every flow against a running server.

Python's authlib, requests-oauthlib and mcp are called from the tests; the programs *.mjs call npm's
oauth4webapi and openid-client.  Each refuses an answer that is not as its specification says.
"""
