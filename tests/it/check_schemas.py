"""Checks notifications, one JSON object a line of standard input, with the example subscriber's own validator."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
from subscriber import schemas_in  # noqa: E402

problems = schemas_in(ROOT / "nats" / "schemas")
events = [json.loads(line) for line in sys.stdin]
wrong = [f"{event['type']}: {problem}" for event in events for problem in problems(event)]
# a validator that takes everything would find nothing
for event in events:
    for spoilt in ({**event, "data": {**event["data"], "surprise": 1}}, {**event, "specversion": "2.0"}):
        if not problems(spoilt):
            wrong.append(f"{event['type']}: a spoilt one is taken, too")
print("\n".join(wrong) or f"{len(events)} are valid")
sys.exit(bool(wrong))
