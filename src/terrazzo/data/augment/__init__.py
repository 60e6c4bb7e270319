"""Random changes of training samples: transforms as records, and named sets of them."""
