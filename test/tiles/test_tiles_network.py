# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A map over HTTP against a real server that misbehaves in every way that tile servers do."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import mercantile
import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from cvloc_ros.tiles import open_map

HERE = np.zeros(2)
ANY = re.compile(r"/\d+/\d+/\d+\.jpg")


def store_of(aerial):
    return aerial._imagery.store


def test_tiles_are_fetched_kept_and_served_without_the_server(server, network_map):
    aerial = network_map(wait_s=20.0)
    patch = aerial.patch(HERE, 20.0)
    assert patch.coverage == 1.0
    assert patch.tiles.fetched == patch.tiles.tiles == len(server.requests)
    assert aerial.is_network
    agent = server.requests[0].headers["User-Agent"]
    assert re.fullmatch(r"cvloc_ros/[0-9.]+ \(\+test@example\.org\)", agent)
    aerial.close()
    again = network_map(offline=True).patch(HERE, 20.0)
    assert again.tiles.cached == patch.tiles.tiles
    assert np.array_equal(again.rgb, patch.rgb)
    assert again.key == patch.key


def test_slow_server_is_waited_for_only_so_long_and_the_key_changes(server, network_map):
    def slow(request):
        time.sleep(0.15)
        return server.good(request)

    server.answer = slow
    aerial = network_map(wait_s=0.05)
    start = time.monotonic()
    first = aerial.patch(HERE, 20.0)
    assert time.monotonic() - start < 2.0
    assert first.tiles.pending > 0
    assert first.coverage < 1.0
    deadline = time.monotonic() + 20.0
    while aerial.patch(HERE, 20.0).tiles.pending and time.monotonic() < deadline:
        time.sleep(0.05)
    last = aerial.patch(HERE, 20.0)
    assert last.coverage == 1.0
    assert last.key != first.key
    assert aerial.patch(HERE, 20.0) is last


def test_wait_can_be_changed_while_driving(server, network_map, tiles_config):
    server.answer = lambda r: (time.sleep(0.2), server.good(r))[1]
    aerial = network_map(wait_s=0.0)
    assert aerial.patch(HERE, 5.0).tiles.pending > 0
    aerial.configure(tiles_config(server.url, wait_s=20.0))
    assert aerial.patch(HERE, 5.0).coverage == 1.0


def test_at_most_two_requests_at_once(server, network_map):
    running, most = [0], [0]

    def count(request):
        with server.lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        with server.lock:
            running[0] -= 1
        return server.good(request)

    server.answer = count
    network_map(wait_s=20.0).patch(HERE, 20.0)
    assert most[0] == 2


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda _: Response("no", 403), "403.*User-Agent"),
        (lambda _: Response("who are you", 401), "401.*key"),
        (lambda _: Response("broken", 500), "500.*fault of the server"),
        (lambda _: Response("odd", 418), "418.*address seems wrong"),
        (lambda _: Response("<html><p>Please log in</p></html>", 200, content_type="text/html"), "Please log in"),
        (lambda _: Response(b"\xff\xd8 nonsense", 200, content_type="image/jpeg"), "truncated"),
        (lambda _: Response(b"", 301), "redirect"),
        (lambda r: Response("", 302, headers={"Location": r.url}), "redirects without end"),
    ],
)
def test_fault_of_the_server_is_a_named_state(server, network_map, answer, word):
    server.answer = answer
    aerial = network_map(wait_s=30.0)
    patch = aerial.patch(HERE, 20.0)
    assert patch.coverage == 0.0
    assert patch.tiles.failed == patch.tiles.tiles
    assert re.search(word, patch.tiles.message), patch.tiles.message
    assert store_of(aerial).known([]) == 0


def test_truncated_body_is_not_kept(server, network_map):
    def cut(request):
        whole = server.good(request).get_data()
        return Response(whole[: len(whole) // 2], 200, content_type="image/jpeg")

    server.answer = cut
    aerial = network_map()
    patch = aerial.patch(HERE, 20.0)
    assert patch.tiles.failed == patch.tiles.tiles
    assert "truncated" in patch.tiles.message
    assert store_of(aerial)._caches[0].stats().tiles == 0


def test_body_shorter_than_its_announced_length(kit, projection, tiles_config):
    """A connection that breaks in the middle of a tile."""
    whole = kit.encode(kit.texture(1, 1, 1))

    def serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(whole)}\r\n\r\n"
                connection.sendall(head.encode() + whole[: len(whole) // 2])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{{z}}/{{x}}/{{y}}.jpg"
        aerial = open_map(tiles_config(url), projection)
        patch = aerial.patch(HERE, 5.0)
        assert patch.tiles.failed > 0
        assert "broke off" in patch.tiles.message
        assert store_of(aerial)._caches[0].stats().tiles == 0
        aerial.close()


def test_nobody_listens(projection, tiles_config):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    aerial = open_map(tiles_config(f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.jpg"), projection)
    patch = aerial.patch(HERE, 20.0)
    assert patch.tiles.failed == patch.tiles.tiles
    assert "no connection" in patch.tiles.message
    aerial.close()


def test_server_that_never_answers(monkeypatch, projection, tiles_config):
    monkeypatch.setattr("cvloc_ros.tiles.client._READ_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{{z}}/{{x}}/{{y}}.jpg"
        aerial = open_map(tiles_config(url), projection)
        patch = aerial.patch(HERE, 5.0)
        assert patch.tiles.failed == patch.tiles.tiles
        assert "no answer" in patch.tiles.message
        aerial.close()


def test_404_is_remembered_and_the_parent_taken(server, network_map, kit):
    server.answer = lambda r: server.good(r) if not r.path.startswith("/19/") else Response("none", 404)
    aerial = network_map(zoom=19, wait_s=20.0)
    patch = aerial.patch(HERE, 20.0)
    assert patch.coverage == 1.0
    assert patch.tiles.missing == patch.tiles.tiles
    before = len(server.requests)
    aerial.close()
    assert network_map(zoom=19).patch(HERE, 20.0).coverage == 1.0
    assert len(server.requests) == before


def test_429_pauses_everything_for_as_long_as_it_asks(server, network_map):
    server.answer = lambda _: Response("slow down", 429, headers={"Retry-After": "3"})
    aerial = network_map(wait_s=1.0)
    patch = aerial.patch(HERE, 20.0)
    assert patch.tiles.failed == patch.tiles.tiles
    assert "asks to wait 3 s" in patch.tiles.message
    asked = len(server.requests)
    assert asked <= 2
    server.answer = server.good
    for _ in range(5):
        aerial._patches.clear()
        aerial.patch(HERE, 20.0)
    assert len(server.requests) == asked
    deadline = time.monotonic() + 30.0
    while aerial.patch(HERE, 20.0).coverage < 1.0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert aerial.patch(HERE, 20.0).coverage == 1.0


def test_failed_tiles_are_tried_again_later(server, network_map):
    server.answer = lambda _: Response("broken", 500)
    aerial = network_map()
    assert aerial.patch(HERE, 5.0).tiles.failed > 0
    server.answer = server.good
    deadline = time.monotonic() + 30.0
    while aerial.patch(HERE, 5.0).coverage < 1.0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert aerial.patch(HERE, 5.0).coverage == 1.0


def test_redirect_is_followed(server, network_map, httpserver):
    httpserver.expect_request(re.compile("/old/.*")).respond_with_handler(
        lambda r: Response("", 301, headers={"Location": r.url.replace("/old/", "/")})
    )
    aerial = network_map(source=server.url.replace("/{z}", "/old/{z}"), wait_s=20.0)
    assert aerial.patch(HERE, 5.0).coverage == 1.0


def test_redirect_from_http_to_https_is_followed(server, network_map, httpserver, kit, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out",
                    certificate, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with HTTPServer(host="localhost", ssl_context=context, threaded=True) as secure:
        secure.expect_request(ANY).respond_with_handler(server.handle)
        httpserver.clear()
        httpserver.expect_request(ANY).respond_with_handler(
            lambda r: Response("", 301, headers={"Location": f"https://localhost:{secure.port}{r.path}"})
        )
        assert network_map(wait_s=20.0).patch(HERE, 5.0).coverage == 1.0


@pytest.mark.parametrize("form", ["tms", "quadkey", "wms"])
def test_every_way_of_addressing_gives_the_same_patch(server, network_map, httpserver, kit, form):
    expected = network_map(wait_s=20.0, zoom=19).patch(HERE, 20.0)

    def answer(request):
        if form == "tms":
            z, x, y = (int(part) for part in request.path.removeprefix("/tms/").split("/"))
            y = (1 << z) - 1 - y
        elif form == "quadkey":
            x, y, z = mercantile.quadkey_to_tile(request.path.removeprefix("/q/"))
        else:
            west, south, east, north = (float(part) for part in request.args["BBOX"].split(","))
            assert (request.args["WIDTH"], request.args["CRS"]) == ("256", "EPSG:3857")
            x, y, z = mercantile.tile(*mercantile.lnglat((west + east) / 2, (south + north) / 2), 19)
        return Response(kit.encode(kit.texture(z, x, y)), content_type="image/jpeg")

    paths = {"tms": "/tms/{z}/{x}/{-y}", "quadkey": "/q/{q}",
             "wms": "/wms?BBOX={bbox}&WIDTH={width}&HEIGHT={height}&CRS={proj}"}
    httpserver.expect_request(re.compile("/(tms|q|wms).*")).respond_with_handler(answer)
    base = server.url.removesuffix("/{z}/{x}/{y}.jpg")
    patch = network_map(source=base + paths[form], wait_s=20.0, zoom=19).patch(HERE, 20.0)
    assert np.array_equal(patch.rgb, expected.rgb)
    assert patch.coverage == 1.0


def test_tiles_of_another_size_say_what_to_set(server, network_map, kit):
    server.answer = lambda _: Response(kit.encode(kit.texture(1, 1, 1, 512)), content_type="image/jpeg")
    assert "set tile_size" in network_map().patch(HERE, 5.0).tiles.message


def test_prefetch_from_a_server_that_refuses_ends_at_once(server, network_map):
    server.answer = lambda _: Response("no", 403)
    start = time.monotonic()
    result = network_map(zoom=19).prefetch_radius(HERE, 300.0)
    assert result.stopped
    assert "403" in result.reason
    assert time.monotonic() - start < 60.0
    assert len(server.requests) < 10


def test_notice_picture_with_status_200_is_recognised(server, network_map, kit):
    notice = kit.encode(kit.texture(0, 0, 0))
    server.answer = lambda _: Response(notice, content_type="image/jpeg")
    aerial = network_map(wait_s=20.0)
    assert aerial.patch(HERE, 60.0).coverage == 0.0


@pytest.mark.parametrize(
    ("rule", "headers"),
    [
        ("etag: vvvv", {"ETag": '"vvvvvvvv"'}),
        ("header: {X-Info: no-tile}", {"X-Info": "no-tile"}),
        ("status: [418]", {}),
    ],
)
def test_placeholder_by_the_rules_of_the_catalogue(server, network_map, tmp_path, kit, rule, headers):
    status = 418 if "status" in rule else 200
    server.answer = lambda r: Response(server.good(r).get_data(), status, content_type="image/jpeg", headers=headers)
    catalogue = tmp_path / "own.yaml"
    catalogue.write_text(
        f"providers:\n  own: {{title: own, url: '{server.url}', max_zoom: 19, min_zoom: 19, attribution: me, "
        f"licence: mine, store: allowed, rate_per_s: 50, blank: {{{rule}}}}}\n"
    )
    aerial = network_map(source="provider:own", providers_file=str(catalogue))
    patch = aerial.patch(HERE, 20.0)
    assert patch.tiles.missing == patch.tiles.tiles
    assert patch.coverage == 0.0
