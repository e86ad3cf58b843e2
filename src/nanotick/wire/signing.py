"""The signatures the venues ask for, made from secrets that do not show themselves.

HMAC keys are hashed once: a signature then costs two copies of a hash state. Sources: the authentication pages of
binance-spot-api-docs, docs.kraken.com, docs.cdp.coinbase.com (Advanced Trade and Exchange) and docs.alpaca.markets;
the vectors of those pages are tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from nanotick.core.secret import Secret
from nanotick.wire.sha256 import hmac_record

_INNER = bytes(b ^ 0x36 for b in range(256))
_OUTER = bytes(b ^ 0x5C for b in range(256))


class HmacKey:
    """An HMAC key hashed once (RFC 2104), so that each signature hashes only its message.

    Parameters
    ----------
    key : bytes
    digest : callable
        Of hashlib, `sha256` or `sha512`.
    """

    __slots__ = ("_inner", "_key", "_outer")

    def __init__(self, key: bytes, digest: Callable[..., Any] = hashlib.sha256) -> None:
        block = digest().block_size
        key = (digest(key).digest() if len(key) > block else key).ljust(block, b"\0")
        self._inner, self._outer = digest(key.translate(_INNER)), digest(key.translate(_OUTER))
        self._key = key if digest is hashlib.sha256 else b""

    def sign(self, message: bytes) -> bytes:
        """The HMAC of a message."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return bytes(outer.digest())

    def record(self) -> npt.NDArray[np.void]:
        """The key for kernels (dtype HMAC, one record), of SHA-256 alone; as secret as the key itself."""
        if not self._key:
            raise ValueError("expected a key of HMAC-SHA256: there is no kernel for another digest")
        return hmac_record(self._key.translate(_INNER), self._key.translate(_OUTER))

    def __repr__(self) -> str:
        return "HmacKey(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an HmacKey is never pickled")


def _decoded(secret: Secret, what: str) -> bytes:
    try:
        return base64.b64decode(secret.reveal(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{what}: expected a secret in base64, as the venue shows it") from None


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise ImportError("Ed25519 and ES256 keys need cryptography: pip install 'nanotick[live]'") from None
    return serialization


class BinanceHmac:
    """Signer of Binance requests with an HMAC key: lower-case hex SHA-256."""

    def __init__(self, key: str, secret: Secret) -> None:
        self.key = key
        self._hmac = HmacKey(secret.reveal().encode())

    def sign(self, payload: bytes) -> str:
        """Signature of the payload as sent."""
        return self._hmac.sign(payload).hex()

    def record(self) -> npt.NDArray[np.void]:
        """As `HmacKey.record`."""
        return self._hmac.record()


class BinanceEd25519:
    """Signer of Binance requests with an Ed25519 key in PEM: base64, case-sensitive."""

    def __init__(self, key: str, private_pem: Secret) -> None:
        self.key = key
        self._private = _serialization().load_pem_private_key(private_pem.reveal().encode(), None)

    def sign(self, payload: bytes) -> str:
        """Signature of the payload as sent."""
        return base64.b64encode(self._private.sign(payload)).decode()


BinanceSigner = BinanceHmac | BinanceEd25519


class KrakenSigner:
    """Signer of Kraken REST: API-Sign = base64(HMAC-SHA512(secret, path + SHA256(nonce + body)))."""

    def __init__(self, key: str, secret: Secret) -> None:
        self.key = key
        self._hmac = HmacKey(_decoded(secret, "Kraken"), hashlib.sha512)

    def sign(self, path: str, nonce: int, body: bytes) -> str:
        """Signature; `body` is the form or JSON as sent, which holds the nonce too."""
        inner = hashlib.sha256(str(nonce).encode() + body).digest()
        return base64.b64encode(self._hmac.sign(path.encode() + inner)).decode()


class CoinbaseExchangeSigner:
    """Signer of Coinbase Exchange: base64(HMAC-SHA256(secret, timestamp + METHOD + path + body))."""

    def __init__(self, key: str, secret: Secret, passphrase: Secret) -> None:
        self.key = key
        self._passphrase = passphrase
        self._hmac = HmacKey(_decoded(secret, "Coinbase Exchange"))

    def sign(self, seconds: str, method: str, path: str, body: bytes = b"") -> str:
        """Signature."""
        return base64.b64encode(self._hmac.sign(f"{seconds}{method}{path}".encode() + body)).decode()

    def headers(self, seconds: str, method: str, path: str, body: bytes = b"") -> tuple[tuple[str, str], ...]:
        """CB-ACCESS headers of a request."""
        return (
            ("CB-ACCESS-KEY", self.key),
            ("CB-ACCESS-SIGN", self.sign(seconds, method, path, body)),
            ("CB-ACCESS-TIMESTAMP", seconds),
            ("CB-ACCESS-PASSPHRASE", self._passphrase.reveal()),
        )


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class CoinbaseSigner:
    """Tokens of Coinbase Advanced Trade: a JWT signed ES256 (RFC 7518), one for every request and subscription."""

    LIFE_S = 120

    def __init__(self, key_name: str, private_pem: Secret) -> None:
        self.key = key_name
        self._private = _serialization().load_pem_private_key(private_pem.reveal().encode(), None)

    def token(self, now_s: int, nonce: str, uri: str = "") -> str:
        """A token.

        Parameters
        ----------
        now_s : int
            Seconds UTC.
        nonce : str
            Random hex, never the same twice.
        uri : str
            For REST: method, space, host and path without query (`GET api.coinbase.com/api/v3/brokerage/accounts`).
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        header = {"alg": "ES256", "kid": self.key, "nonce": nonce, "typ": "JWT"}
        claims = {"sub": self.key, "iss": "cdp", "nbf": now_s, "exp": now_s + self.LIFE_S}
        if uri:
            claims["uri"] = uri
        parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
        signed = b".".join(map(_base64url, parts))
        r, s = utils.decode_dss_signature(self._private.sign(signed, ec.ECDSA(hashes.SHA256())))
        return (signed + b"." + _base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def alpaca_headers(key: str, secret: Secret) -> tuple[tuple[str, str], ...]:
    """Headers of every Alpaca request."""
    return (("APCA-API-KEY-ID", key), ("APCA-API-SECRET-KEY", secret.reveal()))


def query_text(params: dict[str, str]) -> str:
    """Parameters percent-encoded in their order, as REST signatures are made over."""
    return urlencode(params)


def sorted_text(params: dict[str, str]) -> str:
    """Parameters sorted by name and not encoded, as the Binance WebSocket API signs them."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))
