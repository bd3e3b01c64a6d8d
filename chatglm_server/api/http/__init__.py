"""The edge of the API: connections, middleware, request bodies and server-sent events. It knows no endpoint."""
