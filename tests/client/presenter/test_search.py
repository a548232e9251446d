"""A search that takes too long."""

from __future__ import annotations

import asyncio

import pytest

from chat.client.model.search_query import SearchError
from chat.client.presenter.search import SearchSession
from chat.protocol.frames import Results
from tests.client.presenter.fakes import FakeCore


async def test_a_search_without_an_answer_ends_with_advice() -> None:
    finding = SearchSession(FakeCore(), patience=0.01)
    with pytest.raises(SearchError, match=r"took longer than 0\.01 s\. Narrow it"):
        await finding.begin("word", "me")
    assert finding.query == ""


async def test_a_search_whose_pages_stay_empty_ends_with_advice() -> None:
    core = FakeCore()
    finding = SearchSession(core, patience=0.2)
    searching = asyncio.create_task(finding.begin("word", "me"))
    while not searching.done():
        if (future := core.futures.pop("search", None)) is not None:
            future.set_result(Results(hits=(), complete=False, cursor={"#general": 9}))
        await asyncio.sleep(0)
    with pytest.raises(SearchError, match="Narrow it"):
        await searching
