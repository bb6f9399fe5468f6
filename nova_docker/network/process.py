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


"""Processes of the host, told apart from later ones with the same pid."""


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None: it is gone.

    See proc_pid_stat(5), field 22. A zombie is gone.
    """
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii',
                  errors='replace') as stat:
            # The command's name is in brackets and may hold anything.
            fields = stat.read().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in 'XZ' else int(fields[19])
