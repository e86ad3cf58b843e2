"""Who asks a served Binance: API keys, signatures and time stamps.

Source: binance-spot-api-docs, rest-api.md and web-socket-api.md, "Request security".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

from nanotick.core.secret import Secret
from nanotick.venues.binance.bodies import Refused
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.wire.signing import BinanceHmac

_MS, _US = 1_000_000, 1_000
_MICROS_FROM = 10**14  # a stamp from here on is in microseconds
_AHEAD = 1_000 * _MS
WINDOW_MS, WINDOW_MOST_MS = 5_000, 60_000


class Gate:
    """Checks signatures of the accounts of a desk.

    The secret of an account is an HMAC secret, or the public key in PEM of an Ed25519 key.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hmac: dict[str, BinanceHmac] = {}
        self._keys: dict[str, Any] = {}

    def account(self, key: str) -> DeskAccount:
        """The account of a key.

        Raises
        ------
        Refused
        """
        if not key:
            raise Refused(-2014, "API-key format invalid.", 401)
        account = self._desk.login(key)
        if account is None:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return account

    def logs_on(self, account: DeskAccount) -> bool:
        """Whether the account's key may log a session on."""
        return account.terms.secret.lstrip().startswith("-----BEGIN")

    def timely(self, params: Mapping[str, str], now: int) -> None:
        """Check `timestamp` and `recvWindow`; raises Refused."""
        text = params.get("timestamp", "")
        if not (text.isdigit() and len(text) <= 18):
            raise Refused(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        stamp = int(text)
        stamp *= _US if stamp >= _MICROS_FROM else _MS
        window = params.get("recvWindow", "") or str(WINDOW_MS)
        try:
            window_ns = int(float(window) * _MS)
        except (ValueError, OverflowError):
            raise Refused(-1100, "Illegal characters found in parameter 'recvWindow'.") from None
        if not 0 <= window_ns <= WINDOW_MOST_MS * _MS:
            raise Refused(-1131, "recvWindow must be less than 60000.")
        if stamp >= now + _AHEAD:
            raise Refused(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window_ns:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")

    def signed(self, account: DeskAccount, payload: bytes, signature: str) -> None:
        """Check a signature; raises Refused."""
        if not signature:
            raise Refused(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        good = self._ed25519(account, payload, signature) if self.logs_on(account) else (
            hmac.compare_digest(self._signer(account).sign(payload).encode(), signature.encode())
        )  # fmt: skip
        if not good:
            raise Refused(-1022, "Signature for this request is not valid.")

    def _signer(self, account: DeskAccount) -> BinanceHmac:
        signer = self._hmac.get(account.key)
        if signer is None:
            signer = self._hmac[account.key] = BinanceHmac(account.key, Secret(account.terms.secret))
        return signer

    def _ed25519(self, account: DeskAccount, payload: bytes, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key: Any = self._keys.get(account.key)
        if key is None:
            key = self._keys[account.key] = load_pem_public_key(account.terms.secret.encode())
        try:
            key.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True
