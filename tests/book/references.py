"""Books as one would write them without thinking of speed: dictionaries, lists and sorting."""

EMPTY = -(1 << 62)


class OrderReference:
    """An order-by-order book: id -> [side, price, qty], and per side price -> ids in queue order."""

    def __init__(self):
        self.orders = {}
        self.levels = {1: {}, -1: {}}

    def add(self, ident, side, price, qty):
        if ident not in self.orders:
            self.orders[ident] = [side, price, qty]
            self.levels[side].setdefault(price, []).append(ident)

    def remove(self, ident):
        side, price, _ = self.orders.pop(ident)
        self.levels[side][price].remove(ident)
        if not self.levels[side][price]:
            del self.levels[side][price]

    def reduce(self, ident, qty):
        if qty >= self.orders[ident][2]:
            self.remove(ident)
        else:
            self.orders[ident][2] -= qty

    def modify(self, ident, price, qty):
        side, old_price, old_qty = self.orders[ident]
        if price == old_price and qty <= old_qty:
            self.orders[ident][2] = qty
        else:
            self.remove(ident)
            self.add(ident, side, price, qty)

    def replace(self, old, new, price, qty):
        if new == old or new not in self.orders:
            side = self.orders[old][0]
            self.remove(old)
            self.add(new, side, price, qty)

    def clear(self, side):
        for one in (1, -1) if side == 0 else (side,):
            for ids in list(self.levels[one].values()):
                for ident in list(ids):
                    self.remove(ident)

    def truncate(self, side, depth):
        for price in self.prices(side)[depth:]:
            for ident in list(self.levels[side][price]):
                self.remove(ident)

    def prices(self, side):
        return sorted(self.levels[side], key=lambda price: -side * price)

    def rows(self, side):
        return [(p, sum(self.orders[i][2] for i in self.levels[side][p])) for p in self.prices(side)]


class LevelReference:
    """A price-level book that fuses streams: quantity and stamp of each price, and the last best bid and offer."""

    def __init__(self, max_depth=0):
        self.max_depth = max_depth
        self.depth_known = False
        self.clear(0)

    def clear(self, side):
        if side == 0:
            self.qty, self.stamp, self.quoted = {}, {}, {}
        for one in (1, -1) if side == 0 else (side,):
            self.qty[one], self.stamp[one], self.quoted[one] = {}, {}, (0, 0)

    def _put(self, side, price, qty, ts):
        if ts:
            self.stamp[side][price] = ts
        if qty:
            self.qty[side][price] = qty
        else:
            self.qty[side].pop(price, None)

    def set(self, side, price, qty, ts):
        quote_ts, quote_rank = self.quoted[side]
        if ts and ts < quote_ts and side * price > quote_rank:
            return
        if ts and ts < self.stamp[side].get(price, 0):
            return
        self.depth_known = True
        self._put(side, price, qty, ts)
        if self.max_depth:
            self.truncate(side, self.max_depth)

    def quote(self, side, price, qty, ts):
        if ts and ts < self.quoted[side][0]:
            return
        rank = side * price if qty else EMPTY
        self.quoted[side] = (ts, rank)
        for other in list(self.qty[side]):
            newer = ts and self.stamp[side].get(other, 0) > ts
            stale = side * other > rank and not newer
            unknown = not self.depth_known and (other != price or not qty)
            if stale or unknown:
                self._put(side, other, 0, ts)
        if qty and not (ts and self.stamp[side].get(price, 0) > ts):
            self._put(side, price, qty, ts)

    def truncate(self, side, depth):
        for price, _ in self.rows(side)[depth:]:
            self.qty[side].pop(price)

    def rows(self, side):
        return sorted(self.qty[side].items(), key=lambda row: -side * row[0])
