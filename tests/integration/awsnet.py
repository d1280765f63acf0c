"""Sockets in the network namespaces of containers, and a way between two of them for TCP."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

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
        _shut(self._entrance)
        self._thread.join()
        with self._mutex:
            links = list(self._open)
        for link in links:
            _shut(link)
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


def _shut(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
