"""Percent-encoding, bags, PEM and DER as the hub and mbedTLS want them."""

import azureiot.encoding as encoding

CERTIFICATE = b"\x30\x03\x02\x01\x01"
LONG = b"\x30\x82\x01\x00" + b"\x05" * 256


def refuses(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("no ValueError")


def test_quote_keeps_only_the_unreserved():
    assert encoding.quote("AZaz09-_.~") == "AZaz09-_.~"
    assert encoding.quote("a b+c&d=e/f?g%h") == "a%20b%2Bc%26d%3De%2Ff%3Fg%25h"
    assert encoding.quote("grün") == "gr%C3%BCn"
    assert encoding.quote("$.ct") == "%24.ct"
    assert encoding.quote(21.5) == "21.5"
    assert encoding.quote("") == ""


def test_bag_keeps_the_order_given():
    assert (
        encoding.bag((("$.ct", "application/json"), ("b", "1"), ("a", "x y")))
        == "%24.ct=application%2Fjson&b=1&a=x%20y"
    )
    assert encoding.bag(()) == ""


def test_query_reads_all_spellings():
    assert encoding.query("$rid=7&retry-after=3") == {"$rid": "7", "retry-after": "3"}
    assert encoding.query("a&b=") == {"a": None, "b": ""}
    assert encoding.query("$rid=&&retry-after=2")["retry-after"] == "2"
    assert encoding.query("a=b=c") == {"a": "b=c"}


def test_der_certificates_are_cut_apart_by_their_lengths():
    assert encoding.certificates(CERTIFICATE) == [CERTIFICATE]
    assert encoding.certificates(CERTIFICATE + LONG + CERTIFICATE) == [CERTIFICATE, LONG, CERTIFICATE]


def test_der_that_is_cut_off_or_followed_by_junk_is_refused():
    assert "cut off" in refuses(lambda: encoding.certificates(LONG[:-1]))
    assert "byte 5" in refuses(lambda: encoding.certificates(CERTIFICATE + b"junk"))
    assert "byte" in refuses(lambda: encoding.certificates(CERTIFICATE + b"\x30"))
    refuses(lambda: encoding.certificates(b"\x30\x82\x01"))


PEM = b"""Bag Attributes: some text before
-----BEGIN CERTIFICATE-----
MAMCAQE=
-----END CERTIFICATE-----
-----BEGIN EC PRIVATE KEY-----
MAMCAQI=
-----END EC PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MAMCAQM=
-----END CERTIFICATE-----
"""


def test_pem_bundles():
    assert encoding.certificates(PEM) == [b"\x30\x03\x02\x01\x01", b"\x30\x03\x02\x01\x03"]
    assert encoding.private_key(PEM) == b"\x30\x03\x02\x01\x02"
    assert encoding.certificates(PEM.replace(b"\n", b"\r\n")) == encoding.certificates(PEM)


def test_a_der_key_ends_where_it_ends():
    assert encoding.private_key(CERTIFICATE) == CERTIFICATE
    assert "byte" in refuses(lambda: encoding.private_key(b"\x30"))


def test_what_is_not_there_is_said():
    assert refuses(lambda: encoding.certificates(b"")) == "no certificate in it"
    assert refuses(lambda: encoding.certificates(b"hello")) == "no certificate in it"
    assert (
        refuses(lambda: encoding.private_key(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"))
        == "no private key in it"
    )
    assert "does not end" in refuses(lambda: encoding.certificates(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"))
    assert "does not end" in refuses(lambda: encoding.certificates(b"-----BEGIN CERTIFICATE"))


def test_encrypted_keys_are_named_as_such():
    assert "encrypted" in refuses(
        lambda: encoding.private_key(
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMCAQE=\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
    )
    headers = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"
    traditional = b"-----BEGIN EC PRIVATE KEY-----\n" + headers + b"MAMCAQE=\n-----END EC PRIVATE KEY-----\n"
    assert "encrypted" in refuses(lambda: encoding.private_key(traditional))
