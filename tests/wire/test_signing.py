"""Signatures against the venues' own vectors, tokens against their public key, secrets that stay hidden."""

import base64
import hashlib
import hmac
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import OrderType, TimeInForce
from nanotick.core.secret import Secret
from nanotick.wire import binance_orders, coinbase_trading, kraken_trading
from nanotick.wire.requests import Entry, Login, Request, Subscribe
from nanotick.wire.signing import (
    BinanceEd25519,
    BinanceHmac,
    CoinbaseExchangeSigner,
    CoinbaseSigner,
    HmacKey,
    KrakenSigner,
    alpaca_headers,
    query_text,
    sorted_text,
)

BINANCE = Secret("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")
BINANCE_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
KRAKEN = Secret("kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==")
EXCHANGE = Secret("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([hashlib.sha256, hashlib.sha512]))
def test_a_key_hashed_once_signs_as_the_standard_library_does(key, message, digest) -> None:
    assert HmacKey(key, digest).sign(message) == hmac.new(key, message, digest).digest()


def test_binance_rest_and_websocket_signatures_of_the_documentation() -> None:
    signer = BinanceHmac(BINANCE_KEY, BINANCE)
    rest = {"symbol": "LTCBTC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
            "recvWindow": "5000", "timestamp": "1499827319559"}  # fmt: skip
    assert signer.sign(query_text(rest).encode()) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    stream = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
              "price": "52000.00", "recvWindow": "100", "timestamp": "1645423376532",
              "apiKey": BINANCE_KEY}  # fmt: skip
    assert (
        signer.sign(sorted_text(stream).encode()) == "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    )


def test_a_binance_order_on_the_wire_carries_the_signature_of_what_it_says() -> None:
    signer = BinanceHmac(BINANCE_KEY, BINANCE)
    entry = Entry("BTCUSDT", "n00000000000000001", -1, "0.01", "52000", "", int(OrderType.LIMIT), int(TimeInForce.GTC))
    sent = json.loads(binance_orders.encode(entry, "7", 1645423376532, signer, 100))["params"]
    signature = sent.pop("signature")
    text = "&".join(f"{k}={sent[k]}" for k in sorted(sent))
    assert signature == hmac.new(BINANCE.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
    rest = binance_orders.encode_rest(entry, 1645423376532, signer)
    text, _, signature = rest.body.decode().rpartition("&signature=")
    assert signature == hmac.new(BINANCE.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def test_ed25519_signatures_verify() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    signature = BinanceEd25519("key", Secret(pem)).sign(b"apiKey=key&timestamp=1")
    private.public_key().verify(base64.b64decode(signature), b"apiKey=key&timestamp=1")


def test_kraken_signature_of_the_documentation() -> None:
    signer = KrakenSigner("key", KRAKEN)
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    wanted = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    assert signer.sign("/0/private/AddOrder", 1616492376594, body) == wanted
    params = {"ordertype": "limit", "pair": "XBTUSD", "price": "37500", "type": "buy", "volume": "1.25"}
    request = kraken_trading.rest_request("AddOrder", params, 1616492376594, signer)
    assert dict(request.headers)["API-Sign"] == wanted and request.body == body


def test_coinbase_exchange_signature_of_the_documentation() -> None:
    signer = CoinbaseExchangeSigner("key", EXCHANGE, Secret("phrase"))
    wanted = "fqdfya0O8FSnHxmCQp804A8FhB/2b5TWlf6VewfapVs="
    assert signer.sign("1700000000", "GET", "/users/self/verify") == wanted
    frame = coinbase_trading.encode_exchange_session(Subscribe((("depth", "BTC-USD"),)), signer, "1700000000")
    assert json.loads(frame)["signature"] == wanted and json.loads(frame)["passphrase"] == "phrase"


def test_coinbase_tokens_verify_and_name_their_request() -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    private = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    signer = CoinbaseSigner("organizations/o/apiKeys/k", Secret(pem))
    request = coinbase_trading.authorized(
        Request("GET", "/api/v3/brokerage/accounts?limit=1"), signer, 1_700_000_000, "ab"
    )
    token = dict(request.headers)["Authorization"].removeprefix("Bearer ")
    parts = token.split(".")
    header, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
    assert json.loads(header) == {"alg": "ES256", "kid": "organizations/o/apiKeys/k", "nonce": "ab", "typ": "JWT"}
    assert json.loads(claims) == {
        "sub": "organizations/o/apiKeys/k", "iss": "cdp", "nbf": 1_700_000_000, "exp": 1_700_000_120,
        "uri": "GET api.coinbase.com/api/v3/brokerage/accounts",
    }  # fmt: skip
    assert len(signature) == 64
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    private.public_key().verify(der, ".".join(parts[:2]).encode(), ec.ECDSA(hashes.SHA256()))


def test_what_is_sent_with_a_secret_does_not_show_it() -> None:
    secret = Secret("hunter2-hunter2")
    request = Request("GET", "/v2/account", alpaca_headers("k", secret))
    assert dict(request.headers)["APCA-API-SECRET-KEY"] == "hunter2-hunter2"
    for shown in (request, Login("k", secret.reveal(), secret.reveal()), BinanceHmac("k", secret), HmacKey(b"hunter2")):
        assert "hunter2" not in repr(shown) and "hunter2" not in f"{shown}"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(HmacKey(b"hunter2"))


def test_a_secret_that_is_no_base64_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="base64") as caught:
        KrakenSigner("key", Secret("not base64!"))
    assert "not base64!" not in str(caught.value) and caught.value.__cause__ is None
