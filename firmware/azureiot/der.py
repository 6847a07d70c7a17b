"""Certificates and keys out of PEM and DER: bytes in, bytes out."""

import binascii


def certificates(data: bytes) -> "list[bytes]":
    """The certificates in `data` as a list of DERs: PEM text, or DER with one certificate after another.

    Raises ValueError, with a sentence that says what was found instead.
    """
    if data[:1] == b"\x30":
        return _split_der(data)
    found = [der for label, der in pem_blocks(data) if label == "CERTIFICATE"]
    if not found:
        raise ValueError("no certificate in it")
    return found


def private_key(data: bytes) -> bytes:
    """The private key in `data` (PEM or DER) as DER. Raises ValueError when there is none or it is encrypted."""
    if data[:1] == b"\x30":
        return _split_der(data)[0]
    for label, der in pem_blocks(data):
        if label == "ENCRYPTED PRIVATE KEY":
            raise ValueError("the private key is encrypted; decrypt it on the host (azureiot pfx convert)")
        if label.endswith("PRIVATE KEY"):
            return der
    raise ValueError("no private key in it")


def pem_blocks(data: bytes) -> "list[tuple[str, bytes]]":
    """All PEM blocks of `data` (bytes) as (label, DER) pairs. Raises ValueError when one is broken."""
    blocks = []
    end = 0
    while True:
        start = data.find(b"-----BEGIN ", end)
        if start < 0:
            return blocks
        body = data.find(b"-----", start + 11)
        label = data[start + 11 : body]
        end = data.find(b"-----END " + label + b"-----", body)
        if body < 0 or end < 0:
            raise ValueError("a PEM block that does not end")
        text = data[body + 5 : end]
        if b":" in text:  # RFC 1421 headers: "Proc-Type: 4,ENCRYPTED"
            raise ValueError("the private key is encrypted; decrypt it on the host (azureiot pfx convert)")
        blocks.append((str(label, "utf8"), binascii.a2b_base64(text)))


def _split_der(data):
    """DERs that follow one another, cut apart by their ASN.1 lengths."""
    found = []
    start = 0
    while start < len(data):
        if data[start] != 0x30 or start + 2 > len(data):
            raise ValueError("not DER from byte %d on" % start)
        length = data[start + 1]
        end = start + 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[end : end + octets], "big")
            end += octets
        end += length
        if end > len(data):
            raise ValueError("DER that is cut off")
        found.append(data[start:end])
        start = end
    return found
