"""The health service of grpcio, in a server of its own threads on loopback."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from tests.support.certificates import Authority
from tests.support.servers import HOST


class _Guarded(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Lets in calls with the metadata `token: right` only."""

    def intercept_service(self, continuation, details):  # type: ignore[no-untyped-def]
        if ("token", "right") in {(pair.key, pair.value) for pair in details.invocation_metadata}:
            return continuation(details)

        def refuse(_request, context):  # type: ignore[no-untyped-def]
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextmanager
def grpc_server(
    services: Mapping[str, str],
    *,
    authority: Authority | None = None,
    pair: tuple[bytes, bytes] | None = None,
    guarded: bool = False,
) -> Iterator[int]:
    """The port of a server that says this of its services, by the names of the statuses.

    With TLS by a certificate of the authority, or by a key and its chain in PEM.
    """
    server = grpc.server(
        ThreadPoolExecutor(max_workers=4), interceptors=[_Guarded()] if guarded else []
    )
    servicer = health.HealthServicer()
    for name, status in services.items():
        servicer.set(name, HealthCheckResponse.ServingStatus.Value(status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if authority is not None:
        leaf = authority.ca.issue_cert(HOST, "localhost")
        pair = (leaf.private_key_pem.bytes(), b"".join(b.bytes() for b in leaf.cert_chain_pems))
    if pair is None:
        port = server.add_insecure_port(f"{HOST}:0")
    else:
        port = server.add_secure_port(f"{HOST}:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
