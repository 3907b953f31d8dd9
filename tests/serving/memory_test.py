"""When memory goes back."""

import asyncio

from ml_lstm.serving.server import memory


def test_one_trim_serves_all_who_asked_for_it_and_the_most_hurried_decides(monkeypatch):
    trims = []
    monkeypatch.setattr(memory, "trim", lambda: trims.append(None))

    async def ask():
        trimmer = memory.Trimmer()
        trimmer.trim_within(100)
        trimmer.trim_within(0.05)
        trimmer.trim_within(0.05)
        trimmer.trim_within(100)
        await asyncio.sleep(0.01)
        assert trims == []
        await asyncio.sleep(0.2)

    asyncio.run(ask())
    assert trims == [None]
