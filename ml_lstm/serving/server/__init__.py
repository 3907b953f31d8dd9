"""A small server with TensorFlow Serving's REST and gRPC interfaces, for where TensorFlow Serving has no build."""
