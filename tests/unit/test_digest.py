"""Is a digest challenge answered as RFC 7616 shows it?"""

import pytest

from uptimeo.probes.http.digest import Challenge, answer, strongest

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def offer(algorithm: str) -> str:
    return (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        f' nonce="{NONCE}", opaque="{OPAQUE}"'
    )


def answered(header: str) -> str:
    challenge = strongest([header])
    assert challenge is not None
    return answer(
        challenge,
        method="GET",
        target="/dir/index.html",
        user="Mufasa",
        password="Circle of Life",
        cnonce=CNONCE,
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_rfc_are_answered_as_it_says(algorithm: str, response: str) -> None:
    value = answered(offer(algorithm))

    assert f'response="{response}"' in value
    assert f"algorithm={algorithm}" in value
    assert f'opaque="{OPAQUE}"' in value
    assert "qop=auth, nc=00000001" in value


def test_an_old_server_without_qop_gets_the_old_answer() -> None:
    value = answered(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    )

    assert "qop" not in value
    assert "cnonce" not in value


def test_the_strongest_offer_is_taken_from_several() -> None:
    found = strongest(["Basic realm=x", f"{offer('MD5')}, {offer('SHA-256')}", offer("MD5-sess")])

    assert found is not None
    assert (found.algorithm, found.session) == ("sha-256", False)


@pytest.mark.parametrize(
    "header",
    [
        "Basic realm=x",
        'Digest realm="x"',
        'Digest nonce="x", algorithm=SHA3',
        'Digest nonce="x", qop="auth-int"',
        "Digest " + 'a="' * 100_000,
        "",
    ],
)
def test_what_cannot_be_answered_is_no_challenge(header: str) -> None:
    assert strongest([header]) is None


def test_quotes_in_a_realm_are_kept_within_their_value() -> None:
    challenge = strongest(['Digest realm="a \\"b\\", nonce=\\"c", nonce="n"'])

    assert challenge == Challenge(
        realm='a "b", nonce="c', nonce="n", opaque=None, algorithm="md5", session=False, qop=None
    )
    assert 'realm="a \\"b\\", nonce=\\"c"' in answered(
        'Digest realm="a \\"b\\", nonce=\\"c", nonce="n"'
    )
