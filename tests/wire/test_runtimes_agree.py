"""The same bytes, the same outcome on CPython and MicroPython, where slices, views and UTF-8 are another program's."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import fakes
from conftest import FUZZ, ROOT

from .fed_client import outcome
from .streams import cut

HERE = Path(__file__).parent


def packet(chance: random.Random) -> bytes:
    topic = chance.choice(["a", "devices/dev/messages/devicebound/x=ü", "$dps/registrations/res/202/?$rid=1", "€" * 40])
    whole = chance.choice(
        [
            fakes.publish(topic, chance.randbytes(chance.choice([0, 1, 50, 400, 2000])), chance.choice([0, 1, 65535])),
            fakes.puback(chance.randrange(1, 65536)),
            fakes.suback(chance.randrange(1, 65536), 1),
            fakes.PINGRESP,
            bytes((chance.randrange(256),)) + fakes.length(chance.choice([0, 127, 5000, 268_435_455])),
        ]
    )
    if chance.random() < 0.2:
        at = chance.randrange(len(whole))
        whole = whole[:at] + chance.randbytes(chance.randrange(3)) + whole[at + chance.randrange(3) :]
    return whole


def test_a_thousand_streams(micropython: Path, tmp_path: Path) -> None:
    chance = random.Random(None if FUZZ else 311)
    cases, expected = [], []
    for _ in range(50_000 if FUZZ else 1000):
        stream = b"".join(packet(chance) for _ in range(chance.randrange(1, 6)))
        pieces = cut(stream, [chance.randrange(1 << 16) for _ in range(chance.randrange(5))])
        limit = chance.choice([200, 512, 1000, 4096])
        cases.append([[piece.hex() for piece in pieces], limit])
        expected.append(outcome(pieces, limit))
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    path = os.pathsep.join((".frozen", str(ROOT / "firmware"), str(HERE.parent / "device")))
    done = subprocess.run(
        [micropython, "-X", "heapsize=64M", HERE / "fed_client.py", tmp_path / "cases.json"],
        env={**os.environ, "MICROPYPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    found = done.stdout.splitlines()
    assert len(found) == len(cases)
    for case, ours, theirs in zip(cases, expected, found, strict=True):
        assert json.loads(theirs) == json.loads(ours), case
    ended = sum(json.loads(one)[1] == "mqtt" for one in expected)
    assert 0.1 < ended / len(cases) < 0.9, "both kinds of stream were tried"
