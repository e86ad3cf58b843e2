"""`nanotick top`: a running session on a terminal, as a program of its own.

    ┌ header: mode, phase, time, symbols, P&L, risk ┐
    │ panes (all of them, or two and one of the     │
    │ others where there is little room)            │
    └ keys ─────────────────────────────────────────┘

It talks to the session through its control socket and never shares a process with it: whatever the terminal does
(stalls, is closed, is slow over ssh), no decision waits for it. At 80 columns and 24 rows trades and depth stand above
one other pane, and tab changes that; from 110 columns and 34 rows on everything is there at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.geometry import Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from nanotick.terminal import panes
from nanotick.terminal.watcher import INTERVAL_S, Client, Watcher

WIDE, TALL = 110, 34  # from which everything fits at once
FIXED = ("trades", "ladder")  # always there
BEAT_NS = 1_000_000_000

KEYS = (
    ("p", "pause all strategies, or let them go on"), ("f", "flatten: cancel orders, close positions"),
    ("k", "kill: cancel everything, let no order pass; k again to do it"),
    ("r", "resume after a kill; asks who you are"), ("s S", "next symbol, the one before"),
    ("tab", "next pane; shift+tab: the one before"), ("up down", "scroll the pane"),
    ("q", "leave; the session goes on"), ("Q", "stop the session: cancels its orders, then ends"), ("?", "this help"),
)  # fmt: skip
_FOOT = (("p", "pause"), ("f", "flatten"), ("k", "kill"), ("r", "resume"), ("s", "symbol"), ("tab", "pane"),
         ("q", "leave"), ("Q", "stop"), ("?", "help"))  # fmt: skip


class Seen(Message):
    """A status has come."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__()
        self.status = status


class Trouble(Message):
    """The session does not answer, or is over."""

    def __init__(self, words: str, over: bool) -> None:
        super().__init__()
        self.words, self.over = words, over


class Answered(Message):
    """What came of a wish."""

    def __init__(self, do: str, answer: dict[str, Any], error: str) -> None:
        super().__init__()
        self.do, self.answer, self.error = do, answer, error


class Confirm(ModalScreen[bool]):
    """Asks once more: one key means yes, every other one no."""

    def __init__(self, question: str, key: str) -> None:
        super().__init__()
        self.question, self.key = question, key

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(classes="dialog"):
            yield Static(Text(self.question, "bold"))
            yield Static(Text.assemble(("\n" + self.key, "bold reverse"), "  yes      any other key: no"))

    def on_key(self, event: events.Key) -> None:
        """The answer."""
        event.stop()
        event.prevent_default()
        self.dismiss((event.character or event.key) == self.key)


class Operator(ModalScreen[str]):
    """Asks who lifts a kill."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", show=False)]

    def compose(self) -> ComposeResult:
        """A line to write in."""
        with Vertical(classes="dialog"):
            yield Static(Text("Who lifts the kill?", "bold"))
            yield Input(placeholder="your name, then enter; escape: leave it killed")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name."""
        event.stop()
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Nobody."""
        self.dismiss("")


class Help(ModalScreen[None]):
    """The keys."""

    def compose(self) -> ComposeResult:
        """A list."""
        lines = Text("keys\n\n", "bold")
        for key, what in KEYS:
            lines.append(f"{key:>8}  ", "bold cyan").append(what + "\n", "not bold")
        with Vertical(classes="dialog"):
            yield Static(lines)

    def on_key(self, event: events.Key) -> None:
        """Any key ends it."""
        event.stop()
        self.dismiss(None)


class Pane(VerticalScroll, can_focus=False):
    """One pane: a title in its upper line and a renderable that scrolls when there is more than room."""

    def __init__(self, name: str, title: str, draw: panes.Pane) -> None:
        super().__init__(id=name, classes="pane")
        self.border_title, self.draw = title, draw
        self.inner = Static()

    def compose(self) -> ComposeResult:
        """What scrolls."""
        yield self.inner

    def show(self, status: dict[str, Any]) -> None:
        """Draw a status in the room there is."""
        if self.size.width > 0:
            self.inner.update(self.draw(status, self.size.width, self.size.height))


class Top(App[int]):
    """The live terminal.

    Parameters
    ----------
    connect : callable
        Gives a client of the session's control socket; ControlError when there is none.
    interval_s : float
        Between two looks.
    on_interrupt : callable, optional
        What Ctrl-C does when the session runs on this terminal: passes it on. Otherwise it leaves, as q.
    """

    CSS = """
    Screen { layout: vertical; }
    #head { height: 2; background: $surface; color: $foreground; }
    #banner { height: 1; background: $error; color: $text; display: none; text-style: bold; }
    #banner.shown { display: block; }
    #foot { height: 1; background: $surface; color: $foreground; }
    #body { height: 1fr; }
    #body.small { layout: grid; grid-size: 2 2; grid-columns: 70fr 30fr; grid-rows: 11fr 10fr; }
    #body.small .pane { display: none; }
    #body.small .fixed, #body.small .chosen { display: block; }
    #body.small .chosen { column-span: 2; }
    #left, #right { height: 1fr; }
    #body.large { layout: horizontal; }
    #left { width: 7fr; } #right { width: 5fr; }
    .pane { border-top: solid $primary-darken-2; border-title-color: $text-muted; padding: 0;
            scrollbar-size-vertical: 1; height: 1fr; }
    .pane.chosen { border-top: solid $accent; border-title-color: $accent; border-title-style: bold; }
    Static { width: 1fr; }
    .large #strategies, .large #connections, .large #latency { height: auto; max-height: 12; }
    .large #orders { height: 8; }
    .large #log { height: 6; }
    .large #ladder { height: 12; }
    .large #risk { height: 9; }
    .large #learning { height: 2; }
    ModalScreen { align: center middle; }
    .dialog { width: 70; max-width: 95%; height: auto; border: round $accent; padding: 1 2; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("p", "pause", show=False), Binding("f", "flatten", show=False), Binding("k", "kill", show=False),
        Binding("r", "resume", show=False), Binding("s", "symbol(1)", show=False),
        Binding("S", "symbol(-1)", show=False), Binding("tab", "pane(1)", show=False, priority=True),
        Binding("shift+tab", "pane(-1)", show=False, priority=True), Binding("q", "leave", show=False),
        Binding("Q", "end", show=False), Binding("question_mark", "help", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("up", "scroll(-1)", show=False), Binding("down", "scroll(1)", show=False),
    ]  # fmt: skip
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "Input"

    def __init__(
        self,
        connect: Callable[[], Client],
        interval_s: float = INTERVAL_S,
        on_interrupt: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.watcher = Watcher(
            connect, lambda status: self._post(Seen(status)), lambda words, over: self._post(Trouble(words, over)),
            lambda do, answer, error: self._post(Answered(do, answer, error)), interval_s,
        )  # fmt: skip
        self.head, self.banner, self.foot = Static(id="head"), Static(id="banner"), Static(id="foot")
        self.body = Container(id="body")
        self.panes: dict[str, Pane] = {}
        self.status: dict[str, Any] | None = None
        self.chosen = "strategies"
        self._symbol = 0
        self._on_interrupt = on_interrupt
        self._beaten = 0
        self._trouble = ""

    def _post(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    # --- what is there ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Header, panes, keys."""
        yield from (self.head, self.banner, self.body, self.foot)

    async def on_mount(self) -> None:
        """Begin to watch."""
        self._foot("")
        self.head.update(Text(" waiting for the session", "dim"))
        await self._lay_out(self.size)
        self.watcher.start()

    def on_unmount(self) -> None:
        """Ask no more."""
        self.watcher.stop()

    async def on_resize(self, event: events.Resize) -> None:
        """More or less room."""
        await self._lay_out(event.size)

    async def _lay_out(self, size: Size) -> None:
        """Everything at once where it fits; two panes and a chosen one where it does not."""
        body = self.body
        large = size.width >= WIDE and size.height >= TALL
        kind = "large" if large else "small"
        if not body.has_class(kind):
            with self.batch_update():
                body.remove_class("large", "small")
                await body.remove_children()
                self.panes = {name: Pane(name, title, draw) for name, title, draw in panes.PANES}
                body.add_class(kind)
                if large:
                    sides = (
                        ("left", ("trades", "strategies", "orders", "connections", "log")),
                        ("right", ("ladder", "positions", "latency", "risk", "learning")),
                    )
                    await body.mount(*(Vertical(*(self.panes[n] for n in names), id=side) for side, names in sides))
                else:
                    await body.mount(*self.panes.values())
                    for name in FIXED:
                        self.panes[name].add_class("fixed")
        self._choose()
        self.call_after_refresh(self._draw)

    def _choose(self) -> None:
        """Mark the chosen pane."""
        large = self.body.has_class("large")
        if not large and self.chosen in FIXED:
            self.chosen = "strategies"
        for name, pane in self.panes.items():
            if name in FIXED:  # their titles say what they show
                pane.set_class(name == self.chosen, "chosen")
                continue
            pane.set_class(name == self.chosen, "chosen")
            plain = next(title for known, title, _ in panes.PANES if known == name)
            others = [title for known, title, _ in panes.PANES if known not in FIXED]
            here = not large and name == self.chosen
            pane.border_title = plain if not here else f"{plain}  {others.index(plain) + 1} of {len(others)}, tab"

    def _draw(self) -> None:
        status = self.status
        if status is None:
            return
        width = self.size.width
        self.head.update(panes.header(status, width))
        words = self._warning(status)
        self.banner.set_class(bool(words), "shown")
        if words:
            self.banner.update(Text(f" {words}", no_wrap=True, overflow="ellipsis"))
        shown = status["ladder"]
        self.panes["ladder"].border_title = f"depth {shown['symbol']} {shown['venue']}, s"
        venues = {trade["venue"] for trade in status["trades"]}
        self.panes["trades"].border_title = f"trades at {venues.pop()}" if len(venues) == 1 else "trades"
        for pane in self.panes.values():
            pane.show(status)

    def _warning(self, status: dict[str, Any]) -> str:
        if self._trouble:
            return self._trouble
        if status["killed"]:
            why = f": {status['kill_reason']}" if status["kill_reason"] else ""
            return f"KILLED{why}; r lets it trade again"
        if status["phase"] == "failed":
            return f"FAILED: {status['reason']}"
        breaks = [words for account in status["accounts"] for words in account["breaks"]]
        return f"to be looked at: {breaks[0]}" if breaks else ""

    def _foot(self, words: str, style: str = "") -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        if words:
            text.append(f" {words}", style)
        else:
            for key, what in _FOOT:
                text.append(f" {key} ", "bold cyan").append(f"{what} ", "dim")
        self.foot.update(text)

    # --- what comes from the session ----------------------------------------------------------------------------------

    def on_seen(self, message: Seen) -> None:
        """Show a status."""
        if message.status["phase"] == "stopped":
            self.exit(0)
            return
        self.status, self._trouble = message.status, ""
        self._draw()

    def on_trouble(self, message: Trouble) -> None:
        """Show that there is none, or leave when there will be none again."""
        if message.over:
            self.exit(0)
            return
        self._trouble = f"no answer: {message.words}"
        if self.status is None:
            self.head.update(Text(f" {message.words}", "yellow"))
        else:
            self._draw()

    def on_answered(self, message: Answered) -> None:
        """Say what came of a key."""
        if message.do == "beat":
            return
        if message.error:
            self._say(f"{message.do}: {message.error}", "bold red")
            return
        answer = message.answer
        words = {
            "kill": "killed: everything is cancelled and no order passes",
            "resume": "it trades again",
            "flatten": f"flatten: {answer.get('commands', 0)} commands sent, closing orders follow",
            "pause": f"paused: {', '.join(answer.get('strategies', ())) or 'none'}",
            "unpause": f"paused: {', '.join(answer.get('strategies', ())) or 'none'}",
            "stop": "the session ends: orders are cancelled, then connections closed",
        }.get(message.do, message.do)
        self._say(words, "bold green")

    def _say(self, words: str, style: str) -> None:
        self._foot(words, style)
        self.set_timer(4.0, lambda: self._foot(""))

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Every key is a sign of the operator, for a session that asks for signs."""
        seen = self.status
        if isinstance(event, events.Key) and seen is not None and seen.get("heartbeat"):
            if seen["now"] - self._beaten > BEAT_NS:
                self._beaten = seen["now"]
                self.watcher.act("beat")
        await super().on_event(event)

    def action_pause(self) -> None:
        """Pause all; go on with all if all are paused."""
        if self.status is not None:
            every = all(row["paused"] for row in self.status["strategies"])
            self.watcher.act("unpause" if every else "pause", strategy="all")

    def _confirmed(self, question: str, key: str, do: str, **fields: Any) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.watcher.act(do, **fields)
            else:
                self._say(f"{do}: left alone", "dim")

        self.push_screen(Confirm(question, key), answered)

    def action_flatten(self) -> None:
        """Cancel everything and close every position, when confirmed."""
        self._confirmed("Cancel every order and close every position?", "y", "flatten", strategy="all")

    def action_kill(self) -> None:
        """Kill, when confirmed by a second press."""
        self._confirmed("KILL: cancel everything, let no order pass until an operator resumes?", "k", "kill",
                        reason="key press in nanotick top")  # fmt: skip

    def action_resume(self) -> None:
        """Lift a kill, by name."""
        if self.status is not None and not self.status["killed"]:
            self._say("resume: nothing is killed", "dim")
            return

        def answered(name: str | None) -> None:
            if name:
                self.watcher.act("resume", operator=name)
            else:
                self._say("resume: left killed; an operator's name is needed", "dim")

        self.push_screen(Operator(), answered)

    def action_end(self) -> None:
        """End the session, when confirmed."""
        self._confirmed("Stop the session? Its orders are cancelled, then it ends.", "Q", "stop",
                        reason="key press in nanotick top")  # fmt: skip

    def action_symbol(self, by: int) -> None:
        """The next symbol's depth."""
        if self.status is not None and self.status["instruments"]:
            known = self.status["instruments"]
            self._symbol = (self._symbol + by) % len(known)
            self.watcher.show(*known[self._symbol])

    def action_pane(self, by: int) -> None:
        """The next pane."""
        if len(self.screen_stack) > 1:
            return
        large = self.body.has_class("large")
        names = [name for name, _, _ in panes.PANES if large or name not in FIXED]
        self.chosen = names[(names.index(self.chosen) + by) % len(names)]
        self._choose()
        self.call_after_refresh(self._draw)

    def action_scroll(self, by: int) -> None:
        """Scroll the chosen pane."""
        self.panes[self.chosen].scroll_relative(y=by, animate=False)

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Help())

    def action_leave(self) -> None:
        """Leave the session to itself."""
        self.exit(0)

    def action_suspend_process(self) -> None:
        """Ctrl-Z suspends a screen of its own; one on a session's terminal stays, for no shell would wake it."""
        if self._on_interrupt is None:
            super().action_suspend_process()

    def action_interrupt(self) -> None:
        """Ctrl-C: the session's where it runs on this terminal, else as q."""
        if self._on_interrupt is not None:
            self._on_interrupt()
            self._say("Ctrl-C: the session ends in an orderly way; again ends it at once", "bold yellow")
        else:
            self.exit(0)
