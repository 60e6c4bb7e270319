"""The HTTP service and the map viewer: a bundle's answers, and scenes as jobs, over the network (extra `serve`).

The rooms: `settings` (what is served and its limits), `application` (all routes in one FastAPI application), `models`
(bundles ready to answer), `batching` (windows of several requests in one forward pass), `answering` and `answers` (an
image in, a map out), `jobs` (large scenes, durable), `uploads` (what comes in, and what is refused), `problems` (every
error in one shape), `viewing` and `tiles` (the map viewer).
"""
