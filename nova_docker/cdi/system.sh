#!/bin/sh
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

#
# system.sh
#
# The engine runs this as root at every start of a system container, when its
# mounts exist and before it has them as its root. The OCI state is on stdin.
# An init keeps its services apart by control groups: this lets it write to
# those below its own, and to nothing that holds the instance's limits.

fail() {
    echo "nova-docker: no system container can run here: $1" >&2
    exit 1
}

# value TEXT KEY: the string of the first KEY. Quotes inside of strings have a
# backslash, so that nothing in one can be taken for a key.
value() {
    value=${1#*\""$2"\":}
    value=${value#*\"}
    echo "${value%%\"*}"
}

state=$(cat)
# It is restored from a checkpoint: its mounts are not there yet, and come back
# as they were, which is writable. A start is at "creating" here.
[ "$(value "$state" status)" != stopped ] || exit 0
pid=${state#*\"pid\"}
pid=${pid#*:}
pid=${pid# }
pid=${pid%%[!0-9]*}
[ -n "$pid" ] || fail 'no pid in the OCI state'
bundle=$(value "$state" bundle)
config=$(cat "$bundle/config.json") || fail 'no OCI configuration'
root=$(value "${config#*\"root\":}" path)
# Relative to the bundle where it does not begin with a slash.
cgroup=$(cd "$bundle" && cd "$root" && pwd -P)/sys/fs/cgroup ||
    fail 'no root filesystem'

# Fields of proc_pid_mountinfo(5). The kernel's paths have no links.
target='' limit=''
while read -r _ _ _ top path _ rest; do
    # shellcheck disable=SC2086
    set -- ${rest#*- }
    case "$path $1" in
        "$cgroup/systemd cgroup")
            # Alone in its hierarchy, without any controller.
            grep -q ':name=systemd:' "/proc/$pid/cgroup" && target=$path
            ;;
        "$cgroup cgroup2")
            # Without it the guest could raise its own limits.
            case ",$3," in
                *,nsdelegate,*) target=$path limit=4096 ;;
                *) fail 'cgroup2 is not mounted with nsdelegate' ;;
            esac
            ;;
        *) continue ;;
    esac
    [ "$top" != / ] || fail 'it would see the control groups of the host'
done < "/proc/$pid/mountinfo"
[ -n "$target" ] ||
    fail 'neither a cgroup hierarchy name=systemd nor cgroup2 is mounted'
nsenter --mount="/proc/$pid/ns/mnt" sh -c '
    mount -o remount,bind,rw,nosuid,nodev,noexec "$1" || exit
    # They take memory of the host. No such file in v1.
    [ -z "$2" ] || echo "$2" > "$1/cgroup.max.descendants"
' sh "$target" "$limit" || fail "$target can not be made writable"
