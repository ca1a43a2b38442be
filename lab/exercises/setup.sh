#!/usr/bin/env bash
# What a container has to run once, so that `python3 -m lab grade` can grade there: Python 3.11 or
# later, and unshare. For Debian 12, Ubuntu 24.04, and what is made of them; nothing is installed
# from anywhere else.
set -euo pipefail
apt-get update
apt-get install --yes --no-install-recommends python3 util-linux
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wants Python 3.11 or later")'
