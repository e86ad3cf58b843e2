"""Order books: best bid and offer, price-level and order-by-order, of any number of instruments in one store.

Everything here is a kernel over the integer address of a store (`BookStore.address`); `BookStore` is the Python face.
"""

from nanotick.book.apply import apply_event as apply_event
from nanotick.book.apply import apply_events as apply_events
from nanotick.book.check import Invariant as Invariant
from nanotick.book.check import check_book as check_book
from nanotick.book.depth import best_price as best_price
from nanotick.book.depth import best_qty as best_qty
from nanotick.book.depth import cell_qty as cell_qty
from nanotick.book.depth import copy_depth as copy_depth
from nanotick.book.depth import depth_price as depth_price
from nanotick.book.depth import depth_qty as depth_qty
from nanotick.book.depth import level_cell as level_cell
from nanotick.book.depth import level_head as level_head
from nanotick.book.depth import level_orders as level_orders
from nanotick.book.depth import level_qty as level_qty
from nanotick.book.depth import next_price as next_price
from nanotick.book.depth import side_levels as side_levels
from nanotick.book.depth import side_orders as side_orders
from nanotick.book.order_by_order import next_order as next_order
from nanotick.book.order_by_order import order_add as order_add
from nanotick.book.order_by_order import order_delete as order_delete
from nanotick.book.order_by_order import order_execute as order_execute
from nanotick.book.order_by_order import order_find as order_find
from nanotick.book.order_by_order import order_id as order_id
from nanotick.book.order_by_order import order_modify as order_modify
from nanotick.book.order_by_order import order_price as order_price
from nanotick.book.order_by_order import order_qty as order_qty
from nanotick.book.order_by_order import order_reduce as order_reduce
from nanotick.book.order_by_order import order_replace as order_replace
from nanotick.book.order_by_order import order_side as order_side
from nanotick.book.price_level import clear_book as clear_book
from nanotick.book.price_level import level_add as level_add
from nanotick.book.price_level import level_set as level_set
from nanotick.book.price_level import quote_set as quote_set
from nanotick.book.price_level import truncate as truncate
from nanotick.book.queue_position import queue_orders_ahead as queue_orders_ahead
from nanotick.book.queue_position import queue_qty_ahead as queue_qty_ahead
from nanotick.book.records import DEPTH_ROW as DEPTH_ROW
from nanotick.book.records import EMPTY_ASK as EMPTY_ASK
from nanotick.book.records import EMPTY_BID as EMPTY_BID
from nanotick.book.records import BookChange as BookChange
from nanotick.book.store import BookInvariantError as BookInvariantError
from nanotick.book.store import BookStore as BookStore
