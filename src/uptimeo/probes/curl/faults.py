"""Which of our words fits libcurl's error code?"""

from typing import Any

import pycurl

from uptimeo.probes.curl.dialer import Dialer
from uptimeo.probes.curl.reader import Reader
from uptimeo.probes.curl.transfer import Fault, TransferError
from uptimeo.probes.curl.watcher import Watcher

# libcurl compares the names itself, and then OpenSSL had no fault to report: 0, or 1 at first.
_NO_FAULT_OF_OPENSSL = frozenset({0, 1})
# curl.h; pycurl has no names for them. The first: a header line too long for libcurl's own limit.
_E_TOO_LARGE = 100
_E_PROXY = 97
_E_QUIC_CONNECT = 96
_E_HTTP3 = 95

_FAULTS = {
    pycurl.E_URL_MALFORMAT: Fault.URL,
    # Only http(s) URLs get here: libcurl says so of an answer without a status line (HTTP/0.9).
    pycurl.E_UNSUPPORTED_PROTOCOL: Fault.PROTOCOL,
    pycurl.E_COULDNT_RESOLVE_HOST: Fault.RESOLVE,
    pycurl.E_COULDNT_RESOLVE_PROXY: Fault.PROXY,
    pycurl.E_COULDNT_CONNECT: Fault.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: Fault.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Fault.TLS,
    pycurl.E_SSL_CIPHER: Fault.TLS,
    pycurl.E_SSL_CACERT: Fault.CERTIFICATE,
    pycurl.E_SEND_ERROR: Fault.SEND,
    pycurl.E_RECV_ERROR: Fault.RECEIVE,
    pycurl.E_GOT_NOTHING: Fault.EMPTY,
    pycurl.E_PARTIAL_FILE: Fault.RECEIVE,
    pycurl.E_BAD_CONTENT_ENCODING: Fault.ENCODING,
    _E_TOO_LARGE: Fault.HEADERS_TOO_LARGE,
    _E_PROXY: Fault.PROXY,
    _E_QUIC_CONNECT: Fault.CONNECT,
    _E_HTTP3: Fault.PROTOCOL,
    pycurl.E_OUT_OF_MEMORY: Fault.OURS,
    pycurl.E_FAILED_INIT: Fault.OURS,
    pycurl.E_SSL_CACERT_BADFILE: Fault.OURS,
    pycurl.E_SSL_CRL_BADFILE: Fault.OURS,
    pycurl.E_SSL_CERTPROBLEM: Fault.OURS,
    pycurl.E_SSL_ENGINE_NOTFOUND: Fault.OURS,
}


def explain(
    curl: Any, failure: Any, reader: Reader, dialer: Dialer, watcher: Watcher
) -> TransferError:
    """What a `pycurl.error` stands for."""
    code, text = failure.args[0], str(failure.args[1])
    if not dialer.tried:
        if dialer.refusal is not None:
            return TransferError(fault=Fault.FORBIDDEN, text=dialer.refusal)
        if dialer.unbound is not None:
            return TransferError(fault=Fault.SOURCE, text=dialer.unbound)
    text = reader.reason or text
    fault = reader.refused or _FAULTS.get(code, Fault.PROTOCOL)
    if dialer.starved:
        fault = Fault.OURS
    verify_code = curl.getinfo(pycurl.SSL_VERIFYRESULT)
    if fault is Fault.CERTIFICATE:
        # Over QUIC the text says only that there is no connection.
        text = watcher.complaint or text
        by_libcurl = verify_code in _NO_FAULT_OF_OPENSSL and "subject" in text.lower()
        fault = Fault.CERTIFICATE_HOSTNAME if by_libcurl else fault
    errno = curl.getinfo(pycurl.OS_ERRNO) or watcher.errno
    return TransferError(fault=fault, text=text, errno=errno, verify_code=verify_code)
