"""The OAuth 2 server: what django-oauth-toolkit leaves to the project, a file per endpoint.

The rules are RFC 6749's and RFC 9700's; endpoints under /o/ answer errors in RFC 6749's shape.
"""
