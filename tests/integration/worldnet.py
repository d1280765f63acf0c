"""The networks of containers that stand for machines of a cloud: sockets in them, ways between two for TCP, and the one below for the metadata
service."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from goldbake import proc
from goldbake.local import network
from tests.fakes.http import cut

METADATA = "169.254.169.254"
"""Where every cloud has its metadata service."""
_BESIDE = "169.254.169.253"
_CLONE_NEWNET = 0x40000000
_PIECE = 65536

T = TypeVar("T")


def within(namespace: Path, make: Callable[[], T]) -> T:
    """Call `make` in a thread of its own inside the namespace: a socket stays where it was made, whoever uses it later."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            handle = os.open(namespace, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
            finally:
                os.close(handle)
            answer.set_result(make())
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=run, name="within-namespace")
    thread.start()
    thread.join()
    return answer.result()


def listener(address: str, port: int) -> socket.socket:
    """A socket that listens there."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def passage(namespace: Path, port: int) -> Relay:
    """Make a port of this machine's loopback one of the namespace's own."""

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=5)

    return Relay(within(namespace, lambda: listener("127.0.0.1", port)), connect)


def hypervisor(namespace: Path, file: Path) -> Path:
    """The network of what is below a machine, mounted on `file`: METADATA is one hop away from the machine, and two from a container's network
    in it.
    """
    network.make_namespace(file)
    inside, below = f"nsenter --net={namespace}", f"nsenter --net={file}"
    script = f"""
        {inside} ip link add imds type veth peer name machine netns {file}
        {inside} ip address add {_BESIDE}/30 dev imds
        {inside} ip link set imds up
        {inside} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'  # Docker does that, where /proc/sys can be written
        {below} ip address add {METADATA}/30 dev machine
        {below} ip link set machine up
        {below} ip route add default via {_BESIDE}
    """
    proc.run(["sh", "-ec", script])
    return file


class Relay:
    """Passes every connection that arrives at `entrance` on to one that `connect` makes; one that cannot be made is closed at once."""

    def __init__(self, entrance: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._entrance = entrance
        self._connect = connect
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._mutex = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over = True
        cut(self._entrance)
        self._thread.join()
        with self._mutex:
            links = list(self._open)
        for link in links:
            cut(link)
        for thread in self._threads:
            thread.join()
        self._entrance.close()

    def _accept(self) -> None:
        while not self._over:
            try:
                link, _ = self._entrance.accept()
            except OSError:  # stopped
                return
            thread = threading.Thread(target=self._pass, args=(link,), name="relay-connection", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pass(self, near: socket.socket) -> None:
        with near:
            try:
                far = self._connect()
            except OSError:  # nobody listens there yet
                return
            with far:
                far.settimeout(None)  # it was for the connection only
                with self._mutex:
                    self._open |= {near, far}
                if self._over:  # stopped meanwhile: whoever stops may have looked before
                    cut(near)
                    cut(far)
                back = threading.Thread(target=_pump, args=(far, near), name="relay-back", daemon=True)
                back.start()
                _pump(near, far)
                back.join()
                with self._mutex:
                    self._open -= {near, far}


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_PIECE):
            target.sendall(data)
    except OSError:  # either end went away
        pass
    for link, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        try:
            link.shutdown(how)
        except OSError:
            pass
