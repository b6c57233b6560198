# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's telemetry socket, as magtop asks it."""

import json
import os
import socket

SECONDS = 5  # for an answer; an application that is stopped in a debugger gives none


class Lost(Exception):
    """There is nobody to ask, or no answer: what, and what to do, in one sentence."""


def runtime_dir():
    """Where EAL has the folders of all file prefixes."""
    base = os.environ.get("RUNTIME_DIRECTORY")
    if not base:
        base = "/var/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return os.path.join(base, "dpdk")


def socket_path(prefix, instance=0):
    """The socket of a process; others of one prefix, with --in-memory, are numbered."""
    name = "dpdk_telemetry.v2" + (f":{instance}" if instance else "")
    return os.path.join(runtime_dir(), prefix, name)


def prefixes():
    """File prefixes that have a telemetry socket, alive or left behind."""
    try:
        found = os.listdir(runtime_dir())
    except OSError:
        return []
    return sorted(name for name in found if os.path.exists(socket_path(name)))


class Telemetry:
    """One connection; every failure is Lost."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(path)
            hello = self.socket.recv(4096)
        except OSError as error:
            self.close()
            raise Lost(self._why(error)) from error
        if not hello:
            self.close()
            raise Lost(f"{path}: no more connections: telemetry serves 10 at a time")
        try:
            hello = json.loads(hello)
            self.version = str(hello["version"])
            self.pid = int(hello["pid"])
            self.length = int(hello["max_output_len"])
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise Lost(f"{path}: whoever listens there is not DPDK's telemetry") from error

    def _why(self, error):
        if isinstance(error, PermissionError):
            return f"{self.path}: not permitted: run this as the user of the application"
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            others = ", ".join(prefixes())
            hint = f"sockets are there for: {others}" if others else "no process has such a socket"
            return f"{self.path}: no process listens: {hint}; choose with --file-prefix"
        return f"{self.path}: {error}"

    def ask(self, command):
        """The answer; None where the command is not known or not served."""
        try:
            self.socket.send(command.encode())
            said = self.socket.recv(max(self.length, 1 << 16))
        except socket.timeout as error:
            raise Lost(f"{self.path}: no answer to {command} for {SECONDS} s") from error
        except OSError as error:
            raise Lost(f"{self.path}: {error}: the process has ended") from error
        if not said:
            raise Lost(f"{self.path}: closed: the process has ended")
        try:
            answer = json.loads(said.decode(errors="replace"))
        except ValueError:
            return None
        if not isinstance(answer, dict):
            return None
        return answer.get(command.split(",", 1)[0])

    def table(self, command):
        """Columns of equal length as rows, in as many pieces as there are."""
        rows, start = [], 0
        while True:
            answer = self.ask(f"{command},{start}" if start else command)
            if not isinstance(answer, dict) or "error" in answer:
                return rows
            columns = {name: column for name, column in answer.items() if isinstance(column, list)}
            piece = [dict(zip(columns, row)) for row in zip(*columns.values())]
            rows += piece
            start = answer.get("next", 0)
            if not start or not piece:
                return rows

    def close(self):
        """Let the connection go."""
        self.socket.close()
