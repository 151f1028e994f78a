#!/usr/bin/env python3
"""Reads what regflow tells outsiders: a durable pull consumer on the stream NOTIFY that catches up, then stays.

Prints one line for each notification and acknowledges it after that. What was printed but not acknowledged when the
program died comes again, with the same id. Needs nats-py, and jsonschema for --validate (`make setup-tests` installs both
into .tools/test-venv).
"""

import argparse
import asyncio
import json
import os
import pathlib
import signal
import sys

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

SERVICE_FILE = pathlib.Path("var/regflow/service.json")
# how many are asked for at once, and how long an empty answer may take, in seconds
BATCH_MAX = 100
WAIT_S = 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=default_server(), help="NATS server, default %(default)s")
    parser.add_argument("--creds", help="file with credentials for it")
    parser.add_argument("--durable", default="example", help="name of the consumer; the server keeps its place under it")
    parser.add_argument("--subject", default="notify.>", help="notify.<tenant>.<registration>.<fact>, with wildcards")
    parser.add_argument("--validate", metavar="FOLDER", help="check each notification against the schemas in this folder")
    parser.add_argument("--count", type=int, help="end after so many; for ever when absent")
    return parser.parse_args()


def default_server():
    """The server that a regflow running here says it uses, else what NATS_URL says, else NATS's usual address."""
    if SERVICE_FILE.exists():
        return json.loads(SERVICE_FILE.read_text())["nats_url"]
    return os.environ.get("NATS_URL", "nats://127.0.0.1:4222")


def schemas_in(folder):
    """A function that gives what is wrong with a notification; nothing is fetched from anywhere."""
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry, Resource

    schemas = [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))]
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    by_id = {schema["$id"]: schema for schema in schemas}

    def problems(event):
        schema = by_id.get(event.get("dataschema"))
        if schema is None:
            return [f"no schema is named {event.get('dataschema')}"]
        validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]

    return problems


def line(event):
    kind = event["type"].removeprefix("io.regflow.")
    return f"{event['time']} {kind} {event['subject']} {json.dumps(event['data'], ensure_ascii=False)} id={event['id']}"


async def subscribe(js, options):
    config = ConsumerConfig(
        durable_name=options.durable,
        filter_subject=options.subject,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=30,
    )
    # finds the consumer again when it is there, with the place where it stopped
    return await js.pull_subscribe(options.subject, durable=options.durable, stream="NOTIFY", config=config)


async def read(options, problems, stopped):
    connection = await nats.connect(options.server, user_credentials=options.creds, max_reconnect_attempts=-1)
    try:
        subscription = await subscribe(connection.jetstream(), options)
        left = options.count
        while not stopped.is_set() and left != 0:
            try:
                messages = await subscription.fetch(BATCH_MAX if left is None else min(left, BATCH_MAX), timeout=WAIT_S)
            except NothingYet:
                continue
            for message in messages:
                event = json.loads(message.data)
                if wrong := problems(event):
                    sys.exit(f"{event.get('type')} {event.get('id')} is not as its schema says: {'; '.join(wrong)}")
                print(line(event), flush=True)
                # waits until the server has it: a lost acknowledgement would bring the notification again
                await message.ack_sync()
                left = None if left is None else left - 1
    finally:
        await connection.close()


async def main():
    options = arguments()
    problems = schemas_in(options.validate) if options.validate else lambda _: []
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await read(options, problems, stopped)


if __name__ == "__main__":
    asyncio.run(main())
