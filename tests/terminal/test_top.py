"""The live terminal, driven by keys, against a session that only pretends."""

import asyncio
import time

from nanotick.terminal.app import Top
from tests.patience import PATIENCE_S
from tests.terminal.sessions import FakeSession


def play(session, steps, size=(80, 24), **options):
    """Run the terminal and a coroutine of steps in it."""

    async def run():
        app = Top(session.connect, 0.1, **options)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.status is not None or session.over)
            await steps(app, pilot)
        return app

    return asyncio.run(run())


async def until(pilot, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await pilot.pause(0.02)


def screen(app):
    return app.export_screenshot().replace("&#160;", " ")


def test_it_shows_a_session_at_80_by_24_and_everything_at_120_by_40(tmp_path):
    async def small(app, pilot):
        await pilot.pause(0.1)
        assert app.panes["trades"].display and app.panes["strategies"].display and not app.panes["log"].display
        assert all(pane.region.bottom <= 24 for pane in app.panes.values())
        text = screen(app)
        assert "market_making" in text and "14:30:18.518" in text

    async def large(app, pilot):
        await pilot.pause(0.1)
        for pane in app.panes.values():
            assert pane.display and pane.size.height >= 1 and pane.region.bottom <= 39, pane.id

    play(FakeSession(tmp_path), small)
    play(FakeSession(tmp_path), large, size=(120, 40))


def test_tab_goes_through_the_panes_and_a_resize_keeps_it_working(tmp_path):
    async def steps(app, pilot):
        seen = []
        for _ in range(8):
            seen.append(app.chosen)
            assert app.panes[app.chosen].display
            await pilot.press("tab")
        assert len(set(seen)) == 8 and app.chosen == seen[0]
        await pilot.press("shift+tab")
        assert app.chosen == "log"
        await pilot.resize_terminal(130, 45)
        await pilot.pause(0.2)
        assert app.panes["latency"].display and app.panes["log"].display
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.2)
        assert not app.panes["latency"].display and app.panes["log"].display

    play(FakeSession(tmp_path), steps)


def test_kill_needs_a_second_press_and_then_a_banner_says_so(tmp_path):
    session = FakeSession(tmp_path)

    async def steps(app, pilot):
        await pilot.press("k", "x")
        await pilot.pause(0.1)
        assert session.asked == []
        await pilot.press("k", "k")
        await until(pilot, lambda: session.asked)
        assert session.asked[0][0] == "kill"
        await until(pilot, lambda: app.status["killed"])
        await pilot.pause(0.1)
        assert "KILLED: key press" in screen(app)

    play(session, steps)


def test_resume_asks_for_a_name(tmp_path):
    session = FakeSession(tmp_path, killed=True)

    async def steps(app, pilot):
        await pilot.press("r")
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert session.asked == []
        await pilot.press("r")
        await pilot.press(*"kim q", "enter")  # q is a letter here
        await until(pilot, lambda: session.asked)
        assert session.asked == [("resume", {"operator": "kim q"})]

    play(session, steps)


def test_flatten_and_stop_are_confirmed_and_pause_goes_both_ways(tmp_path):
    session = FakeSession(tmp_path)

    async def steps(app, pilot):
        await pilot.press("f", "n", "f", "y")
        await until(pilot, lambda: len(session.asked) == 1)
        await pilot.press("p")
        await until(pilot, lambda: all(row["paused"] for row in app.status["strategies"]))
        await pilot.press("p")
        await until(pilot, lambda: not any(row["paused"] for row in app.status["strategies"]))
        await pilot.press("Q", "q", "Q", "Q")
        await until(pilot, lambda: len(session.asked) == 4)
        assert [do for do, _ in session.asked] == ["flatten", "pause", "unpause", "stop"]

    play(session, steps)


def test_s_goes_to_the_next_symbol_and_back(tmp_path):
    async def steps(app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: app.status["ladder"]["symbol"] == "NVDA")
        await pilot.press("S", "S")
        await until(pilot, lambda: app.status["ladder"]["symbol"] == "GOOGL")

    play(FakeSession(tmp_path), steps)


def test_a_refusal_is_shown(tmp_path):
    session = FakeSession(tmp_path)
    session.refusal = "the disk is full"

    async def steps(app, pilot):
        await pilot.press("f", "y")
        await until(pilot, lambda: session.asked)
        await pilot.pause(0.1)
        assert "the disk is full" in screen(app)

    play(session, steps)


def test_a_session_that_hangs_leaves_the_keys_alive(tmp_path):
    session = FakeSession(tmp_path)

    async def steps(app, pilot):
        session.answering.clear()
        await pilot.pause(0.1)
        await pilot.press("question_mark")
        await pilot.pause()
        assert len(app.screen_stack) == 2
        await pilot.press("escape", "tab")
        assert app.chosen == "positions"
        await pilot.press("q")
        assert not session.gave_up  # it hung all the while
        session.answering.set()

    play(session, steps)


def test_it_ends_with_the_session_but_not_with_one_lost_answer(tmp_path):
    session = FakeSession(tmp_path)

    async def steps(app, pilot):
        session.over = True
        await until(pilot, lambda: not app.is_running or app.return_code is not None or app._exit)

    app = play(session, steps)
    assert app.return_value == 0


def test_ctrl_c_is_passed_on_where_the_session_is_on_this_terminal(tmp_path):
    passed = []

    async def steps(app, pilot):
        await pilot.press("ctrl+c")
        await until(pilot, lambda: passed == [1])
        assert not app._exit

    play(FakeSession(tmp_path), steps, on_interrupt=lambda: passed.append(1))


def test_keys_are_signs_of_the_operator_only_where_they_are_asked_for(tmp_path):
    session = FakeSession(tmp_path, heartbeat=30.0)

    async def steps(app, pilot):
        await pilot.press("tab")
        await until(pilot, lambda: session.asked)
        assert session.asked[0][0] == "beat"

    play(session, steps)
    quiet = FakeSession(tmp_path)

    async def none(app, pilot):
        await pilot.press("tab")
        await pilot.pause(0.1)
        assert quiet.asked == []

    play(quiet, none)
