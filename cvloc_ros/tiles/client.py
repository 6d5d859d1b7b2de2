# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one HTTP client: says who it is, keeps to rates and Retry-After, and believes no answer unseen."""

from __future__ import annotations

import email.utils
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import requests
from pyrate_limiter import InMemoryBucket, Limiter, Rate, SingleBucketFactory
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util import Retry

import cvloc_ros
from cvloc_ros.tiles.decode import decode_tile, tile_id

if TYPE_CHECKING:
    from cvloc_ros.tiles.providers import Blank

CONNECTIONS = 2
_NONE_HERE = (204, 404, 410)
_LARGEST_BYTES = 16 * 1024 * 1024
_CONNECT_S = 3.05
_READ_S = 8.0
_NO_ANSWER = "no answer in time: the server or the network is slow, or a firewall drops the requests"


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """A sound tile. `max_age_s` is what the server states, 0 if nothing."""

    data: bytes
    content: bytes
    etag: str
    last_modified: str
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The copy that was named is still good (304)."""

    max_age_s: float


@dataclass(frozen=True, slots=True)
class NoTile:
    """The server has no imagery there; worth remembering."""

    status: int


@dataclass(frozen=True, slots=True)
class Fault:
    """No tile, for a reason that may pass. `all_tiles`: the server, not this tile. `pause_s`: its Retry-After."""

    reason: str
    all_tiles: bool = False
    refused: bool = False
    pause_s: float = 0.0


Reply: TypeAlias = "Received | Unchanged | NoTile | Fault"


class TileClient:
    """Fetches tiles of one provider over at most two connections. Thread-safe."""

    def __init__(self, contact: str, rate_per_s: float, blank: Blank, tile_size: int) -> None:
        """Set up the session; nothing is sent yet."""
        self._blank, self._tile_size = blank, tile_size
        per_s = max(int(rate_per_s), 1)
        # The limiter's own clean-up would be a thread that nobody can join; `fetch` does it instead.
        self._bucket = InMemoryBucket([Rate(per_s, round(1000 * per_s / rate_per_s))])
        self._limiter = Limiter(SingleBucketFactory(self._bucket, schedule_leak=False))
        # Statuses with Retry-After are answered by a pause of the provider, not by a sleeping thread.
        retry = Retry(total=2, connect=1, read=1, status=2, redirect=5, status_forcelist=(500, 502, 504),
                      backoff_factor=0.2, backoff_jitter=0.2, respect_retry_after_header=False,
                      raise_on_status=False)
        adapter = HTTPAdapter(4, CONNECTIONS, max_retries=retry, pool_block=True)
        # Its warnings show addresses with the user's key; what happened is in the state of the tiles.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._session = requests.Session()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.max_redirects = 5
        self._session.headers["User-Agent"] = user_agent(contact)
        self._session.headers["Accept"] = "image/*"

    def fetch(self, url: str, etag: str = "", last_modified: str = "") -> Reply:
        """Ask for one tile; validators make it conditional. Blocks for rate, connection and answer."""
        headers = {"If-None-Match": etag} if etag else {}
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        self._bucket.leak(self._bucket.now())  # type: ignore[no-untyped-call]
        self._limiter.try_acquire("tile")
        try:
            with self._session.get(url, headers=headers, timeout=(_CONNECT_S, _READ_S), stream=True) as response:
                body = response.raw.read(_LARGEST_BYTES + 1, decode_content=True)
                return self._judge(response, body)
        except requests.exceptions.TooManyRedirects:
            return Fault("redirects without end: check the address", all_tiles=True)
        except requests.exceptions.Timeout:
            return Fault(_NO_ANSWER, all_tiles=True)
        except requests.exceptions.ConnectionError as err:
            cause = _cause(err)
            said = _NO_ANSWER if isinstance(cause, ReadTimeoutError) else f"no connection: {_short(cause)}"
            return Fault(said, all_tiles=True)
        except (requests.exceptions.RequestException, OSError, HTTPError) as err:
            return Fault(f"answer broke off: {_short(err)}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._limiter.close()

    def _judge(self, response: requests.Response, body: bytes) -> Reply:
        status = response.status_code
        max_age_s = _max_age(response.headers.get("Cache-Control", ""))
        if status == 304:
            return Unchanged(max_age_s)
        if status in _NONE_HERE or status in self._blank.status:
            return NoTile(status)
        if status != 200:
            return _refusal(response)
        return self._check_tile(response, body, max_age_s)

    def _check_tile(self, response: requests.Response, body: bytes, max_age_s: float) -> Reply:
        if self._is_placeholder(response, body):
            return NoTile(200)
        fault = self._fault_of(response.headers.get("Content-Type", ""), body)
        if fault:
            return Fault(fault)
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        return Received(body, tile_id(body), etag, modified, max_age_s)

    def _fault_of(self, content_type: str, body: bytes) -> str:
        kind = content_type.split(";", maxsplit=1)[0].strip().lower()
        if kind and not kind.startswith("image/") and kind != "application/octet-stream":
            hint = _text_of(body) if kind.startswith(("text/", "application/")) else ""
            return f"{kind} instead of a picture{hint}"
        if len(body) > _LARGEST_BYTES:
            return f"more than {_LARGEST_BYTES >> 20} MB for one tile"
        tile = decode_tile(body)
        if isinstance(tile, str):
            return f"damaged tile: {tile}"
        side = tile.rgb.shape[0]
        if side != self._tile_size:
            return f"tile of {side} px, {self._tile_size} expected: set tile_size in an entry of tiles.providers_file"
        return ""

    def _is_placeholder(self, response: requests.Response, body: bytes) -> bool:
        rule = self._blank
        if not body or (rule.etag and rule.etag in response.headers.get("ETag", "")):
            return True
        if any(response.headers.get(name, "").lower() == value.lower() for name, value in rule.header.items()):
            return True
        return bool(rule.content) and tile_id(body).hex() in rule.content


def user_agent(contact: str) -> str:
    """Name the program, its version and whom to write to."""
    return f"cvloc_ros/{cvloc_ros.__version__} (+{contact})"


def _refusal(response: requests.Response) -> Fault:
    status = response.status_code
    said = f"{status} {response.reason or ''}".strip()
    if status in (401, 403):
        return Fault(f"{said}: the server refuses; it may dislike the User-Agent (tiles.contact), want a key, or the "
                     "licence does not cover this use", refused=True)
    if status in (429, 503):
        pause_s = _retry_after(response.headers.get("Retry-After", ""))
        asked = f", asks to wait {pause_s:.0f} s" if pause_s else ""
        return Fault(f"{said}: the server is busy{asked}", all_tiles=True, pause_s=pause_s)
    if status >= 500:
        return Fault(f"{said}: fault of the server")
    if 300 <= status < 400:
        return Fault(f"{said}: redirect without a usable address", all_tiles=True)
    return Fault(f"{said}: the address seems wrong; check the template and its zoom range")


def _retry_after(text: str) -> float:
    """Seconds of a Retry-After header: a number or a date; 0 if there is none."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return 0.0


def _max_age(cache_control: str) -> float:
    found = re.search(r"(?:^|[,\s])max-age=(\d+)", cache_control.lower())
    return float(found.group(1)) if found else 0.0


def _text_of(body: bytes) -> str:
    text = " ".join(re.sub(r"<[^>]*>", " ", body[:400].decode("utf-8", "replace")).split())
    return f' ("{text[:80]}")' if text else ""


def _cause(err: requests.exceptions.ConnectionError) -> BaseException:
    """Innermost reason; the outer texts hold the address, and with it perhaps the user's key."""
    inner = err.args[0] if err.args else err
    reason = getattr(inner, "reason", inner)
    return reason if isinstance(reason, BaseException) else err


def _short(err: BaseException) -> str:
    return re.sub(r"<[^>]*>:? ?|HTTPS?Connection(Pool)?\(.*?\): ", "", str(err))[:160]


