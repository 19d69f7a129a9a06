import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import fake_recogniser
import psutil
import pytest

from dfer.serve import workers
from dfer.serve.desk import Visit
from dfer.serve.problems import RequestError
from dfer.serve.workers import Pool


@asynccontextmanager
async def running(build: Callable[[], Any] = fake_recogniser.Fake, **options: Any) -> AsyncIterator[Pool]:
    pool = Pool(build, **options)
    pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def recognise(pool: Pool, folder: Path, order: str, visit: Visit | None = None) -> "asyncio.Task[tuple[bytes, float]]":
    path = folder / f"upload-{time.monotonic_ns()}"
    path.write_text(order)
    return asyncio.ensure_future(pool.recognise(path, "mine.mp4", {}, visit or Visit()))


async def pid(pool: Pool, folder: Path) -> int:
    body, _ = await recognise(pool, folder, "a video")
    return int(json.loads(body)["model"]["pid"])


def test_each_worker_has_one_video_at_a_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(workers=2) as pool:
            await until(lambda: pool.loaded == 2)
            visits = [Visit() for _ in range(3)]
            tasks = [recognise(pool, tmp_path, "sleep 1", visit) for visit in visits]
            await until(lambda: visits[0].done and visits[1].done)
            assert [visit.stage for visit in visits] == ["recognising", "recognising", "waiting"]
            assert visits[0].total == 1
            found = await asyncio.gather(*tasks)
            assert len({json.loads(body)["model"]["pid"] for body, _ in found}) == 2
            assert all(0.9 < seconds < 10 for _, seconds in found)

    asyncio.run(run())


def test_a_worker_that_dies_is_told_and_replaced(tmp_path: Path) -> None:
    replaced = []

    async def run() -> None:
        async with running(replaced=lambda: replaced.append(1)) as pool:
            await until(lambda: pool.loaded)
            first = await pid(pool, tmp_path)
            with pytest.raises(RequestError, match="the process that worked on this video ended") as caught:
                await recognise(pool, tmp_path, "die x")
            assert (caught.value.status, caught.value.code) == (500, "worker_died")
            assert await pid(pool, tmp_path) != first  # waits for the new one

    asyncio.run(run())
    assert replaced == [1]


def test_a_worker_that_dies_idle_is_replaced_and_never_asked(tmp_path: Path) -> None:
    async def run() -> None:
        async with running() as pool:
            await until(lambda: pool.loaded)
            first = await pid(pool, tmp_path)
            psutil.Process(first).kill()
            await until(lambda: not pool.loaded)
            assert await pid(pool, tmp_path) != first

    asyncio.run(run())


async def give_up(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_who_gives_up_frees_the_same_worker(tmp_path: Path) -> None:
    async def run() -> None:
        async with running() as pool:
            await until(lambda: pool.loaded)
            first, visit = await pid(pool, tmp_path), Visit()
            task = recognise(pool, tmp_path, "sleep 60", visit)
            await until(lambda: visit.done)
            await give_up(task)
            assert await asyncio.wait_for(pid(pool, tmp_path), 5) == first
            assert pool.workers[0]._killer is None

    asyncio.run(run())


def test_a_worker_that_does_not_stop_is_killed_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE", 0.2)

    async def run() -> None:
        async with running() as pool:
            await until(lambda: pool.loaded)
            first, visit = await pid(pool, tmp_path), Visit()
            task = recognise(pool, tmp_path, "hang 60", visit)
            await until(lambda: visit.stage == "recognising")
            await give_up(task)
            assert await asyncio.wait_for(pid(pool, tmp_path), 15) != first
            assert not psutil.pid_exists(first)

    asyncio.run(run())


def test_who_gives_up_waiting_costs_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with running() as pool:
            await until(lambda: pool.loaded)
            busy, visit = recognise(pool, tmp_path, "sleep 0.5"), Visit()
            waiting = recognise(pool, tmp_path, "die x", visit)
            await until(lambda: visit.stage == "waiting")
            await give_up(waiting)
            await busy
            await pid(pool, tmp_path)
            assert len(pool.workers) == 1

    asyncio.run(run())


def test_a_refused_model_is_told_and_tried_again_ever_more_slowly() -> None:
    reasons: list[str] = []

    async def run() -> None:
        async with running(fake_recogniser.refused, refused=reasons.append) as pool:
            await until(lambda: reasons)
            assert pool.loaded == 0
            assert pool.about is None
            await asyncio.sleep(1)

    asyncio.run(run())
    assert reasons == ["model.safetensors is damaged; train it again"]


def test_a_model_that_comes_back_is_taken(tmp_path: Path) -> None:
    mark, reasons = tmp_path / "mark", []
    mark.touch()

    async def run() -> None:
        async with running(partial(fake_recogniser.Once, mark), refused=reasons.append) as pool:
            await until(lambda: pool.loaded)
            psutil.Process(pool.workers[0].pid).kill()
            await until(lambda: reasons)
            mark.touch()
            await until(lambda: pool.loaded)
            await pid(pool, tmp_path)

    asyncio.run(run())
    assert reasons == ["gone"]


def test_no_process_is_left_when_the_pool_stops(tmp_path: Path) -> None:
    pids: list[int] = []

    async def run() -> None:
        async with running(workers=2) as pool:
            await until(lambda: pool.loaded == 2)
            pids.extend(worker.pid or 0 for worker in pool.workers)
            task = recognise(pool, tmp_path, "hang 60")
            await asyncio.sleep(0.1)
        with pytest.raises(RequestError):
            await task

    asyncio.run(run())
    assert len(pids) == 2
    assert not any(psutil.pid_exists(one) for one in pids)
    assert os.getpid() not in pids


def test_a_pool_may_stop_before_anything_is_loaded() -> None:
    async def run() -> None:
        async with running(fake_recogniser.Slow, workers=2):
            pass

    start = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - start < 10
