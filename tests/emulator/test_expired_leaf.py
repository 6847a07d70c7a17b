"""Pins what becomes of a device whose leaf expires: DPS refuses it, its hub does not (docs/protocol.md §9.5, §9.12)."""

from datetime import UTC, datetime, timedelta


def test_dps_refuses_an_expired_leaf_and_the_hub_still_knows_its_thumbprint(start):
    ahead = timedelta()
    with start(now=lambda: datetime.now(UTC) + ahead) as bench:
        assert bench.provision()["status"] == "assigned"
        ahead = timedelta(days=400)
        assert bench.provision()["errorCode"] == 401002
        assert bench.reason("refused", "'CN=mydevice001' expired at") == "docs/protocol.md §2.1"
        with bench.on_hub():
            pass
