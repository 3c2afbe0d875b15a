"""Does a gRPC server say that it serves? Types `grpc`, `grpcs`."""
