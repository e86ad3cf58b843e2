"""Risk: the only way from an intent to a command."""

from nanotick.risk.check import risk_check, risk_check_cancel, risk_check_replace, risk_force_cancel
from nanotick.risk.dynamic import DynamicLimits
from nanotick.risk.exposure import risk_refresh
from nanotick.risk.guards import evaluate_breakers, kill, pause_strategy, resume, risk_day_roll, risk_update
from nanotick.risk.limits import RiskLimits, set_limit
from nanotick.risk.market import reference_price
from nanotick.risk.records import (
    CHECK_NAMES,
    CHECK_UNITS,
    UNLIMITED,
    Limit,
    RiskCheck,
    guard_at,
    risk_at,
)
from nanotick.risk.stage import RiskStage

__all__ = [
    "CHECK_NAMES",
    "CHECK_UNITS",
    "UNLIMITED",
    "DynamicLimits",
    "Limit",
    "RiskCheck",
    "RiskLimits",
    "RiskStage",
    "evaluate_breakers",
    "guard_at",
    "kill",
    "pause_strategy",
    "reference_price",
    "resume",
    "risk_at",
    "risk_check",
    "risk_check_cancel",
    "risk_check_replace",
    "risk_day_roll",
    "risk_force_cancel",
    "risk_refresh",
    "risk_update",
    "set_limit",
]
