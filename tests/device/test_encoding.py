"""Percent-encoding and bags as the hub wants them."""

import azureiot.encoding as encoding


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
