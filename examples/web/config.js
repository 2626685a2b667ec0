// Where the API is, and which app this page is.  serve.py answers its own instead of this file.
export const api = "http://127.0.0.1:8000";
export const clientId = "pawprint-demo-web";
