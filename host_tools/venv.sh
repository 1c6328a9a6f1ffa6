#!/usr/bin/env bash
# Make .venv with the exact pins, and put the firmware and the host tools on its path. Three tries for the network.
set -eu
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
[ -x .venv/bin/python ] || python3 -m venv .venv
for try in 1 2 3; do
  .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt && break
  [ "$try" != 3 ] || { echo "pip could not install the pins of requirements-dev.txt" >&2; exit 1; }
  sleep "$try"
done
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$PWD/host_tools" "$PWD/firmware" "$PWD/host_tools/kassette_host/standins" >"$site/kassette.pth"
touch .venv/.installed
