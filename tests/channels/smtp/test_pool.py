"""The pool: connections are reused, replaced, limited, closed when idle, and let go of at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coldsend.channels.smtp import SmtpChannel
from coldsend.domain.answers import Answer
from tests.channels.messages import message
from tests.channels.smtp.sending import PATIENT, send, service
from tests.servers.certificates import Authority
from tests.servers.smtp import RecordingServer


def nothing() -> None:
    pass


async def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not condition():
        assert loop.time() < ends, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_one_after_another_goes_over_one_connection(smtp_server: RecordingServer) -> None:
    sent = send(service(smtp_server.port, connections=4), *(message(n) for n in range(1, 20)))
    assert {answer.code for answer in sent.answers} == {250}
    assert smtp_server.control()["connections"] == 1


def test_never_more_connections_than_the_capacity_whoever_asks(smtp_server: RecordingServer) -> None:
    smtp_server.control(latency={"final": 0.05})

    async def crowd() -> list[Answer]:
        channel = SmtpChannel(service(smtp_server.port, connections=3), {}, PATIENT)
        assert channel.capacity == 3
        answers = await asyncio.gather(*(channel.send(message(n), nothing) for n in range(1, 31)))
        await channel.close()
        return answers

    assert {answer.code for answer in asyncio.run(crowd())} == {250}
    assert len(smtp_server.messages()) == 30
    assert smtp_server.control()["most_open"] == 3


def test_idle_connections_are_closed_with_a_quit(smtp_server: RecordingServer) -> None:
    async def wait() -> list[tuple[str, str]]:
        said: list[tuple[str, str]] = []
        channel = SmtpChannel(
            service(smtp_server.port, connections=3),
            {},
            replace(PATIENT, idle_seconds=0.2),
            transcript=lambda who, line: said.append((who, line)),
        )
        await asyncio.gather(*(channel.send(message(n), nothing) for n in range(1, 4)))
        await until(lambda: smtp_server.control()["open"] == 0)
        assert (await channel.send(message(4), nothing)).code == 250
        await channel.close()
        return said

    said = asyncio.run(wait())
    assert said.count(("C", "QUIT")) == 4
    assert smtp_server.control()["open"] == 0


def test_with_no_idle_time_every_message_has_its_own_connection(smtp_server: RecordingServer) -> None:
    send(service(smtp_server.port), message(1), message(2), settings=replace(PATIENT, idle_seconds=0))
    assert smtp_server.control()["connections"] == 2


def test_a_cancelled_message_takes_its_connection_with_it(smtp_server: RecordingServer) -> None:
    smtp_server.control(latency={"final": 30})

    async def cancel() -> Answer:
        channel = SmtpChannel(service(smtp_server.port), {}, PATIENT)
        commits: list[int] = []
        task = asyncio.create_task(channel.send(message(1), lambda: commits.append(1)))
        await until(lambda: commits == [1])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        smtp_server.control(latency={})
        answer = await channel.send(message(2), nothing)
        await channel.close()
        return answer

    assert asyncio.run(cancel()).code == 250
    assert smtp_server.control()["connections"] == 2


def test_a_cancelled_connect_leaves_nothing_open(smtp_server: RecordingServer) -> None:
    smtp_server.control(faults=[{"at": "connect", "do": "hang"}])

    async def cancel() -> None:
        channel = SmtpChannel(service(smtp_server.port), {}, PATIENT)
        task = asyncio.create_task(channel.send(message(1), nothing))
        await until(lambda: smtp_server.control()["open"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await channel.close()
        await until(lambda: smtp_server.control()["open"] == 0)

    asyncio.run(cancel())


def test_a_server_that_never_says_goodbye_does_not_keep_us(smtp_server: RecordingServer) -> None:
    smtp_server.control(faults=[{"at": "quit", "do": "hang"}])
    sent = send(service(smtp_server.port), message(1), settings=PATIENT)
    assert sent.answer.code == 250


def test_an_unasked_421_on_an_idle_connection_is_noticed(smtp_server: RecordingServer) -> None:
    async def idle() -> list[int]:
        channel = SmtpChannel(service(smtp_server.port), {}, PATIENT)
        smtp_server.control(faults=[{"at": "final", "do": "raw", "bytes": "250 ok\r\n421 4.4.2 idle\r\n"}])
        first = await channel.send(message(1), nothing)
        smtp_server.control(faults=[])
        second = await channel.send(message(2), nothing)
        await channel.close()
        return [first.code, second.code]

    assert asyncio.run(idle()) == [250, 250]
    assert smtp_server.control()["connections"] == 2


def test_connections_are_reused_over_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with RecordingServer(tls="implicit", certificate=authority.issue("127.0.0.1")) as server:
        settings = replace(PATIENT, ca_file=str(authority.ca_file))
        sent = send(service(server.port, tls="implicit"), message(1), message(2), settings=settings)
        assert server.control()["connections"] == 1
    assert {answer.code for answer in sent.answers} == {250}


def test_a_closed_channel_sends_nothing(smtp_server: RecordingServer) -> None:
    async def late() -> None:
        channel = SmtpChannel(service(smtp_server.port), {}, PATIENT)
        await channel.close()
        with pytest.raises(RuntimeError, match="closed"):
            await channel.send(message(1), nothing)

    asyncio.run(late())
    assert smtp_server.messages() == []


def test_uvloop_serves_as_well(smtp_server: RecordingServer) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def some() -> set[int]:
        channel = SmtpChannel(service(smtp_server.port, connections=3), {}, PATIENT)
        answers = await asyncio.gather(*(channel.send(message(n), nothing) for n in range(1, 31)))
        await channel.close()
        return {answer.code for answer in answers}

    assert uvloop.run(some()) == {250}
    assert len(smtp_server.messages()) == 30


def test_a_server_that_ends_a_connection_with_421_is_connected_to_anew_at_once(
    smtp_server: RecordingServer,
) -> None:
    smtp_server.control(
        faults=[{"at": "mail", "do": "reply", "reply": "421 too many", "skip": 2, "times": 1}]
    )
    sent = send(service(smtp_server.port, connections=1), *(message(n) for n in range(1, 6)))
    assert [answer.code for answer in sent.answers] == [250] * 5
    assert smtp_server.control()["connections"] == 2


def test_a_server_that_answers_421_to_a_new_connection_is_believed(smtp_server: RecordingServer) -> None:
    smtp_server.control(faults=[{"at": "mail", "do": "reply", "reply": "421 4.7.0 slow down", "skip": 1}])
    sent = send(service(smtp_server.port, connections=1), message(1), message(2))
    assert [answer.code for answer in sent.answers] == [250, 421]
    assert smtp_server.control()["connections"] == 2


def test_who_waits_for_a_connection_that_breaks_gets_one_of_his_own(smtp_server: RecordingServer) -> None:
    smtp_server.control(faults=[{"at": "rcpt", "do": "drop", "times": 3}])

    async def crowd() -> list[Answer | BaseException]:
        channel = SmtpChannel(service(smtp_server.port, connections=1), {}, PATIENT)
        answers = await asyncio.gather(
            *(channel.send(message(n), nothing) for n in range(1, 9)), return_exceptions=True
        )
        await channel.close()
        return answers

    answers = asyncio.run(crowd())
    assert all(isinstance(answer, Answer) for answer in answers)
    assert sum(isinstance(answer, Answer) and answer.lost for answer in answers) == 3
    assert len(smtp_server.messages()) == 5
