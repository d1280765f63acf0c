"""The way out of a container, and ports of loopback."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from goldbake import proc
from goldbake.errors import GoldbakeError
from goldbake.local import container, network


def test_slirp4netns_that_has_ended_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who presses Ctrl-C while it starts ends it as well."""
    monkeypatch.setattr(network, "_READY_S", 1e9)
    monkeypatch.setattr(network, "_LOOK_S", 0.01)
    monkeypatch.setattr(proc, "run", lambda *_, **__: proc.Result(1, "", ""))

    def ended(_: Any, log: Path) -> None:
        log.write_text("starting\nreceived a signal\n")

    monkeypatch.setattr(proc, "detached", ended)
    with pytest.raises(GoldbakeError, match="did not come up: received a signal"):
        network.connect(tmp_path / "netns", tmp_path / "slirp.log", host_loopback=False)


def test_a_free_port_is_none_that_the_kernel_gives_to_somebody_else() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [container.free_port() for _ in range(20)]
    assert [port for port in ports if lowest <= port <= highest] == []
    assert len(set(ports)) > 10
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
