"""The API as pages: what they say, from the data that programs get; nothing here asks for more."""
