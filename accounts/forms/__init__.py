"""The forms of an account's pages."""
