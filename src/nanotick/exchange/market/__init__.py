"""The matching engine: an exchange that agents and strategies trade on, with the feeds and reports of a real one.

Kernels over one root record (`MatchingExchange.address`): `exchange_command`, `exchange_clock`; layouts in `records`.
"""

from nanotick.exchange.market.clock import exchange_clock as exchange_clock
from nanotick.exchange.market.config import ExchangeConfig as ExchangeConfig
from nanotick.exchange.market.config import MarketRules as MarketRules
from nanotick.exchange.market.config import Participant as Participant
from nanotick.exchange.market.consolidated import ConsolidatedQuotes as ConsolidatedQuotes
from nanotick.exchange.market.consolidated import consolidated_best as consolidated_best
from nanotick.exchange.market.engine import exchange_batch as exchange_batch
from nanotick.exchange.market.engine import exchange_call as exchange_call
from nanotick.exchange.market.engine import exchange_command as exchange_command
from nanotick.exchange.market.exchange import ExchangeError as ExchangeError
from nanotick.exchange.market.exchange import MatchingExchange as MatchingExchange
from nanotick.exchange.market.phases import exchange_phase as exchange_phase
from nanotick.exchange.market.records import Allocation as Allocation
from nanotick.exchange.market.records import ExchangeStatus as ExchangeStatus
from nanotick.exchange.market.records import Feeds as Feeds
from nanotick.exchange.market.records import Part as Part
from nanotick.exchange.market.records import Phase as Phase
from nanotick.exchange.market.records import SelfTrade as SelfTrade
from nanotick.exchange.market.records import exchange_at as exchange_at
from nanotick.exchange.market.records import market_at as market_at
from nanotick.exchange.market.trades import exchange_bust as exchange_bust
from nanotick.exchange.market.trades import exchange_correct as exchange_correct
