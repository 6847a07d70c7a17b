"""What a device shows to prove who it is."""


class X509:
    """An X.509 certificate with its private key.

    certificate: a path or bytes; the leaf, then its issuing certificates without the root (docs/protocol.md §2.1).
    key: a path or bytes; not encrypted. Boards want SEC1 or PKCS#1 DER (docs/micropython.md §1.2).
    """

    def __init__(self, certificate: "str | bytes", key: "str | bytes"):
        self.certificate = certificate
        self.key = key
