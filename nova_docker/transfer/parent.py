#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The other end of a program's standard input: whoever started it.

A program's parameters, the questions put to it and its answers are lines of
JSON on a pair of sockets, the program's end of which is its standard input. It
ends with whoever has the other one.
"""

import json
import os
import queue
import socket
import threading
import typing

Json = dict[str, typing.Any]


class Parent:
    """Who started this program."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=0)
        # Both ends of a pair that was made under eventlet do not block.
        self._socket.setblocking(True)
        self._lines: queue.Queue[Json] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def hear(self, timeout: float) -> Json:
        """What it says next.

        :param timeout: seconds
        :raises TimeoutError: nothing
        """
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError() from None

    def tell(self, **message: typing.Any) -> None:
        """Say something to it."""
        self._socket.sendall(json.dumps(message).encode() + b'\n')

    def _listen(self) -> None:
        with self._socket.makefile('rb') as lines:
            for line in lines:
                self._lines.put(json.loads(line))
        # It is gone, or has closed its end; nobody wants an answer.
        os._exit(1)
