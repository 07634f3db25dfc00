import asyncio
import subprocess
import sys

import pytest

from afresh.streams.workers.loops import closed_is_reset

LOOPS = """
from afresh.streams.kafka.app import create_app
from afresh.streams.settings import Settings
from afresh.streams.workers.loops import use_uvloop

use_uvloop()
app = create_app(Settings(_env_file=None), "test")
print(type(app.loop).__module__, type(app.consumer._thread.thread_loop).__module__)
"""

CLOSED = """
import asyncio, sys
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest
from redis.asyncio import Connection
from afresh.streams.workers.loops import use_uvloop

if sys.argv[1:] == ["mended"]:
    use_uvloop()
else:
    import mode.loop
    mode.loop.use("uvloop")

async def name_of(connect, write):
    accepted = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: accepted.put_nowait(writer), "127.0.0.1", 0)
    client = await connect(server.sockets[0].getsockname()[1])
    (await accepted.get()).transport.abort()
    for _ in range(500):
        await asyncio.sleep(0.01)
        try:
            await write(client)
        except Exception as error:
            return type(error).__name__

async def kafka(port):
    client = AIOKafkaConnection("127.0.0.1", port)
    client._do_version_lookup = lambda: asyncio.sleep(0)
    client._versions = {MetadataRequest.API_KEY: (0, 5)}
    await client.connect()
    client._read_task.cancel()  # it notices, too, but may be later than the next write
    return client

async def redis(port):
    client = Connection(host="127.0.0.1", port=port, protocol=2, lib_name=None, lib_version=None)
    await client.connect()
    return client

async def write_to_kafka(client):
    client.send(MetadataRequest([])).close()

async def main():
    print(await name_of(kafka, write_to_kafka))
    print(await name_of(redis, lambda client: client.send_command("PING")))

asyncio.run(main())
"""


def shown(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_a_process_and_its_fetching_thread_run_on_uvloop() -> None:
    assert shown(LOOPS) == ["uvloop", "uvloop"]


def test_a_client_that_writes_to_a_closed_connection_gets_an_error_that_it_knows() -> None:
    assert shown(CLOSED, "mended") == ["KafkaConnectionError", "ConnectionError"]
    assert shown(CLOSED)[0] == "RuntimeError"  # once this fails, the mend can go


def test_other_errors_of_a_write_stay_what_they_are() -> None:
    class Open(asyncio.StreamWriter):
        def __init__(self) -> None:
            pass

        def is_closing(self) -> bool:
            return False

        def __del__(self) -> None:
            pass

    def write(writer: asyncio.StreamWriter, data: bytes) -> None:
        raise RuntimeError(data.decode())

    with pytest.raises(RuntimeError, match="odd"):
        closed_is_reset(write)(Open(), b"odd")
