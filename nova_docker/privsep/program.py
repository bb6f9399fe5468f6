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

"""Programs that functions of root run."""

import collections.abc
import errno
import os
import subprocess

from oslo_concurrency import processutils


def run(*command: str,
        check_exit_code: collections.abc.Collection[int] = (0,),
        given: bytes = b'', timeout: int | None = None) -> str:
    """What a program says.

    As oslo.concurrency's execute(), which runs Python code in the new process.
    For that a copy of this one is made first, with its memory, and that takes
    longer than most programs that are run here.

    :param given: its input
    :param timeout: seconds after which it is ended
    :raises oslo_concurrency.processutils.ProcessExecutionError: it fails
    :raises TimeoutError: it takes too long
    """
    try:
        done = subprocess.run(command, input=given, capture_output=True,
                              timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(errno.ETIMEDOUT,
                           f'{command[0]} took too long') from error
    said, errors = os.fsdecode(done.stdout), os.fsdecode(done.stderr)
    if done.returncode not in check_exit_code:
        raise processutils.ProcessExecutionError(
            stdout=said, stderr=errors, exit_code=done.returncode,
            cmd=' '.join(command))
    return said
