"""Order book and order flow: microprice, order flow imbalance, Kyle's lambda, VPIN, Hawkes intensity."""

from __future__ import annotations

import math

from nanotick.core.kernel import kernel
from nanotick.features.indicator import Indicator
from nanotick.features.window import PairWindow, Window, at_least

_SQRT_HALF = math.sqrt(0.5)


@kernel
def bought_share(z: float) -> float:
    """Standard normal distribution function, within 1.5e-7 and without a call or a branch.

    Abramowitz & Stegun (1964), Handbook of Mathematical Functions, 7.1.28: erf(x) is 1 less the sixteenth power of the
    inverse of a polynomial, within 3e-7.
    """
    x = min(abs(z), 20.0) * _SQRT_HALF
    # two halves that do not wait for each other
    low = 1.0 + x * (0.0705230784 + x * 0.0422820123)
    high = 0.0092705272 + x * (0.0001520143 + x * (0.0002765672 + x * 0.0000430638))
    p = low + x * x * x * high
    p *= p
    p *= p
    p *= p
    p *= p
    return 0.5 + math.copysign(0.5 - 0.5 / p, z)


class Microprice(Indicator):
    """Size-weighted mid: `I * ask + (1 - I) * bid` with `I = bid_qty / (bid_qty + ask_qty)`.

    The weighted mid of Stoikov's paper, the first approximation of the micro-price it derives. An empty side leaves
    the value as it is.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.Microprice().run([99.0, 99.0], [300.0, 100.0], [101.0, 101.0], [100.0, 100.0]).tolist()
    [100.5, 100.0]

    References
    ----------
    Stoikov (2018), The micro-price: a high-frequency estimator of future prices, Quantitative Finance 18(12), eq. 2.
    """

    price: float
    count: int

    def __init__(self) -> None:
        super().__init__()

    def update(self, bid: float, bid_qty: float, ask: float, ask_qty: float) -> float:
        """Take the best quotes; gives the microprice."""
        if bid_qty > 0.0 and ask_qty > 0.0 and math.isfinite(bid + ask):
            self.price = (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)
            self.count += 1
        return self.value()

    def value(self) -> float:
        """The microprice of the last two-sided quotes; nan before them."""
        return self.price if self.count > 0 else math.nan

    def ready(self) -> bool:
        """Whether two-sided quotes have been seen."""
        return self.count > 0


class OrderFlowImbalance(Window):
    """Order flow imbalance: the sum over the last `window` quote updates of Cont, Kukanov and Stoikov's e_n.

    `e = [b >= b'] q_b - [b <= b'] q_b' - [a <= a'] q_a + [a >= a'] q_a'`, with b, a the best bid and ask, q their
    quantities and a prime for the update before: what is added at the bid or taken from the ask counts up.

    Parameters
    ----------
    window : int
        Quote updates in the sum.
    capacity : int, optional
        Most updates a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> ofi = nt.OrderFlowImbalance(10)
    >>> ofi.run([99.0, 99.0, 100.0], [5.0, 8.0, 2.0], [101.0] * 3, [4.0, 4.0, 1.0]).tolist()
    [nan, 3.0, 8.0]

    References
    ----------
    Cont, Kukanov & Stoikov (2014), The price impact of order book events, Journal of Financial Econometrics 12(1), 2.1.
    """

    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    last: float  # contribution of the last update
    seen: int

    def __init__(self, window: int = 100, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("OrderFlowImbalance.window", window, 1)), capacity=max(capacity, window))

    def update(self, bid: float, bid_qty: float, ask: float, ask_qty: float) -> float:
        """Take the best quotes; gives the imbalance of the window."""
        if math.isfinite(bid + ask + bid_qty + ask_qty):
            if self.seen > 0:
                flow = 0.0
                if bid >= self.bid:
                    flow += bid_qty
                if bid <= self.bid:
                    flow -= self.bid_qty
                if ask <= self.ask:
                    flow -= ask_qty
                if ask >= self.ask:
                    flow += self.ask_qty
                self.last = flow
                self._push(flow)
            self.seen += 1
            self.bid = bid
            self.bid_qty = bid_qty
            self.ask = ask
            self.ask_qty = ask_qty
        return self.value()

    def value(self) -> float:
        """The sum over the window, quantity units; nan before the second update."""
        return self._sum() if self.count > 0 else math.nan


class KyleLambda(PairWindow):
    """Kyle's lambda: slope of the least-squares line of price changes on signed volume over the last `window` trades.

    `dp = c + lambda * q`, with q positive for buys: what a unit of volume moves the price, the inverse of depth.

    Parameters
    ----------
    window : int
        Trades in the regression.
    capacity : int, optional
        Most trades a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.KyleLambda(10).run([100.0, 101.0, 100.5, 102.5], [0.0, 2.0, -1.0, 4.0]).round(6).tolist()
    [nan, nan, 0.5, 0.5]

    References
    ----------
    Kyle (1985), Continuous auctions and insider trading, Econometrica 53(6); Hasbrouck (2007), Empirical Market
    Microstructure, section 15.2.2 (as a regression on trades).
    """

    price: float
    seen: int

    def __init__(self, window: int = 500, capacity: int = 0) -> None:
        super().__init__(window=int(at_least("KyleLambda.window", window, 2)), capacity=max(capacity, window))

    def update(self, price: float, signed_qty: float) -> float:
        """Take a trade, its quantity negative when the seller was the aggressor; gives the slope."""
        if math.isfinite(price) and math.isfinite(signed_qty):
            if self.seen > 0:
                self._push(signed_qty, price - self.price)
            self.seen += 1
            self.price = price
        return self.value()

    def value(self) -> float:
        """The slope, price units for a unit of quantity; nan while all volumes are the same."""
        n = float(self.count)
        spread = n * self.xx_sum - self.x_sum * self.x_sum
        if spread <= 1e-12 * n * self.xx_sum:
            return math.nan
        return (n * self.xy_sum - self.x_sum * self.y_sum) / spread

    def intercept(self) -> float:
        """The line's value at no volume, price units."""
        n = float(self.count)
        return self.y_base + (self.y_sum - self.value() * self.x_sum) / n


class VPIN(Window):
    """Volume-synchronised probability of informed trading: mean |buys - sells| / bucket over `window` volume buckets.

    Volume is cut into buckets of equal size; what a trade has too much flows into the next one. With `bulk` 0 the
    aggressor's side classifies (a trade without a side counts half each way). With `bulk` 1 every update is a bar, of
    which the share Phi(dp / s) was bought: dp is the change of the price since the bar before, s the deviation of all
    changes so far (bulk volume classification; Phi is within 1.5e-7). A trade of k buckets does min(k, window) steps.

    Parameters
    ----------
    bucket : float
        Volume of a bucket, quantity units; the paper takes a fiftieth of a day's.
    window : int
        Buckets averaged; 50 in the paper.
    bulk : int
        1 for bulk classification.
    capacity : int, optional
        Most buckets a window set later may have; `window` by default.

    Examples
    --------
    >>> import nanotick as nt
    >>> nt.VPIN(10.0, 2).run([1.0] * 4, [10.0, 5.0, 5.0, 20.0], [1, 1, -1, -1]).tolist()
    [1.0, 1.0, 0.5, 1.0]

    References
    ----------
    Easley, Lopez de Prado & O'Hara (2012), Flow toxicity and liquidity in a high-frequency world, Review of Financial
    Studies 25(5), sections 1 and 2 and appendix A.1.
    """

    bucket: float
    window: int
    bulk: int
    filled: float  # of the bucket under way
    bought: float
    price: float
    changes: int  # running mean and squares of price changes (Welford)
    change_mean: float
    change_squares: float
    seen: int

    def __init__(self, bucket: float = 1000.0, window: int = 50, bulk: int = 0, capacity: int = 0) -> None:
        if not bucket > 0.0:
            raise ValueError(f"VPIN.bucket is above 0, found {bucket!r}")
        super().__init__(
            bucket=bucket,
            window=int(at_least("VPIN.window", window, 1)),
            bulk=int(bulk),
            capacity=max(capacity, window),
        )

    def update(self, price: float, qty: float, side: int) -> float:
        """Take a trade (or a bar), side 1 when the buyer was the aggressor, -1 the seller; gives VPIN."""
        if math.isfinite(price) and math.isfinite(qty) and qty > 0.0 and self.bucket > 0.0:
            share = 0.5 + 0.5 * float(side)
            if self.bulk != 0:
                share = self._bought(price)
            self.price = price
            self.seen += 1
            room = self.bucket - self.filled
            if qty < room:
                self.filled += qty
                self.bought += qty * share
            else:
                bought = self.bought + room * share
                self._push(abs(2.0 * bought - self.bucket) / self.bucket)
                left = qty - room
                whole = math.floor(left / self.bucket)
                for _ in range(int(min(whole, float(self.capacity)))):
                    self._push(abs(2.0 * share - 1.0))
                self.filled = max(left - whole * self.bucket, 0.0)
                self.bought = self.filled * share
        return self.value()

    def _bought(self, price: float) -> float:
        if self.seen == 0:
            return 0.5
        change = price - self.price
        self.changes += 1
        apart = change - self.change_mean
        self.change_mean += apart / float(self.changes)
        self.change_squares += apart * (change - self.change_mean)
        if self.changes < 2 or self.change_squares <= 0.0:
            return 0.5
        return bought_share(change * math.sqrt(float(self.changes - 1) / self.change_squares))

    def value(self) -> float:
        """VPIN, 0 to 1; nan before the first bucket is full."""
        return self.mean()


class Hawkes(Indicator):
    """Intensity of a Hawkes process with exponential kernel, given its events: mu + sum of alpha * exp(-beta * age).

    By Ozaki's recursion the sum is one number that decays and jumps by alpha with each event. Times are nanoseconds,
    the parameters per second: `alpha / beta` is how many events one event brings about (below 1 for a stable process).

    Parameters
    ----------
    mu : float
        Base intensity, events a second.
    alpha : float
        Jump of the intensity at an event, events a second.
    beta : float
        Decay, 1 / second.

    Examples
    --------
    >>> import nanotick as nt
    >>> hawkes = nt.Hawkes(1.0, 0.5, 2.0)
    >>> hawkes.run([0, nt.SECOND // 2]).round(4).tolist()
    [1.5, 1.6839]
    >>> round(hawkes.intensity(nt.SECOND), 4)
    1.2516

    References
    ----------
    Hawkes (1971), Spectra of some self-exciting and mutually exciting point processes, Biometrika 58(1); Ozaki (1979),
    Maximum likelihood estimation of Hawkes' self-exciting point processes, Ann. Inst. Statist. Math. 31(B), eq. 2.5.
    """

    mu: float
    alpha: float
    beta: float
    excited: float  # the sum as of the last event
    ts: int
    count: int

    def __init__(self, mu: float = 1.0, alpha: float = 0.5, beta: float = 1.0) -> None:
        super().__init__(
            mu=at_least("Hawkes.mu", mu, 0.0),
            alpha=at_least("Hawkes.alpha", alpha, 0.0),
            beta=at_least("Hawkes.beta", beta, 0.0),
        )

    def _decayed(self, ts: int) -> float:
        return self.excited * math.exp(-self.beta * 1e-9 * float(max(ts - self.ts, 0)))

    def update(self, ts: int) -> float:
        """Take an event at a time (ns); gives the intensity just after it."""
        self.excited = self._decayed(ts) + self.alpha
        self.ts = ts
        self.count += 1
        return self.value()

    def intensity(self, ts: int) -> float:
        """Intensity at a time (ns) after the last event, events a second."""
        return self.mu + self._decayed(ts)

    def value(self) -> float:
        """Intensity just after the last event, events a second."""
        return self.mu + self.excited

    def ready(self) -> bool:
        """Whether an event has been seen."""
        return self.count > 0
