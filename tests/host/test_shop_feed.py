"""The feed: what is new is told once, in order, to everybody who follows."""

import asyncio
import threading

from kassette_host.shop.feed import Feed


def test_only_news_is_news():
    feed = Feed()
    assert feed.publish({"led": 0, "log": []})
    assert not feed.publish({"led": 0})
    assert feed.publish({"led": 1, "log": []})
    assert feed.since(1) == (2, {"led": 1})
    assert feed.since(0) == (2, {"led": 1, "log": []})
    assert feed.since(2) == (2, {})
    assert feed.parts == {"led": 1, "log": []}


def test_none_is_a_value_like_any_other():
    feed = Feed()
    assert feed.publish({"fault": None})
    assert not feed.publish({"fault": None})


async def test_a_follower_gets_everything_then_each_change():
    feed = Feed()
    feed.publish({"a": 1, "b": 1})
    follower = feed.follow()
    assert await anext(follower) == {"a": 1, "b": 1, "version": 1}
    thread = threading.Thread(target=feed.publish, args=({"b": 2},))
    thread.start()
    assert await anext(follower) == {"b": 2, "version": 2}
    thread.join()
    await follower.aclose()
    assert not feed._followers


async def test_changes_between_two_messages_are_sent_together():
    feed = Feed()
    feed.publish({"a": 1})
    follower = feed.follow()
    await anext(follower)
    for value in range(2, 40):
        feed.publish({"a": value})
    feed.publish({"b": 1})
    assert await asyncio.wait_for(anext(follower), 60) == {"a": 39, "b": 1, "version": 40}
    await follower.aclose()
