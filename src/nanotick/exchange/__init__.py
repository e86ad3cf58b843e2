"""The replay exchange: our orders against recorded data that does not react, with models of what cannot be seen.

Kernels over one root record (`ReplayVenue.address`) are in `replay`; models and how to write one's own in `queue`,
`latency`, `fees` and `impact`; configuration in `config`.
"""

from nanotick.exchange.config import ConfigError as ConfigError
from nanotick.exchange.config import Fees as Fees
from nanotick.exchange.config import Impact as Impact
from nanotick.exchange.config import Latency as Latency
from nanotick.exchange.config import VenueConfig as VenueConfig
from nanotick.exchange.config import venue_config as venue_config
from nanotick.exchange.fees import FeeModel as FeeModel
from nanotick.exchange.impact import ImpactModel as ImpactModel
from nanotick.exchange.latency import LatencyModel as LatencyModel
from nanotick.exchange.queue import QueueModel as QueueModel
from nanotick.exchange.records import ALL_INSTRUMENTS as ALL_INSTRUMENTS
from nanotick.exchange.records import ALL_STRATEGIES as ALL_STRATEGIES
from nanotick.exchange.records import NEVER as NEVER
from nanotick.exchange.records import QUEUE_TRACE as QUEUE_TRACE
from nanotick.exchange.records import VenueStatus as VenueStatus
from nanotick.exchange.replay import next_expiry_ts as next_expiry_ts
from nanotick.exchange.replay import venue_advance as venue_advance
from nanotick.exchange.replay import venue_command as venue_command
from nanotick.exchange.replay import venue_event as venue_event
from nanotick.exchange.reports import command_head as command_head
from nanotick.exchange.reports import command_head_ts as command_head_ts
from nanotick.exchange.reports import command_pop as command_pop
from nanotick.exchange.reports import command_push as command_push
from nanotick.exchange.reports import feed_delay as feed_delay
from nanotick.exchange.reports import report_head as report_head
from nanotick.exchange.reports import report_head_ts as report_head_ts
from nanotick.exchange.reports import report_pop as report_pop
from nanotick.exchange.venue import ReplayVenue as ReplayVenue
from nanotick.exchange.working import order_ahead as order_ahead
